"""Named sets: ours, those that people describe themselves, and where their files come from."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from tuneglm.data.example_set import RowProblem
from tuneglm.data.examples import ExampleSets, load_examples
from tuneglm.data.formats import FORMATS
from tuneglm.data.messages import Example
from tuneglm.data.registry import (
    known_sets,
    placed,
    registered_sets,
    resolve,
    set_of,
)
from tuneglm.data_config import DataConfig
from tuneglm.errors import DataError

ROW = {"instruction": "a", "input": "", "output": "b"}
# what the original could be told
NAMES = [
    "alpaca_en",
    "alpaca_zh",
    "alpaca_gpt4_en",
    "alpaca_gpt4_zh",
    "self_cognition",
    "belle_0.5m",
    "belle_1m",
    "belle_2m",
    "belle_dialog",
    "belle_math",
    "belle_multiturn",
    "belle_multiturn_chatglm",
    "guanaco",
    "firefly",
    "codealpaca",
    "webqa",
    "ultra_chat",
]


def write(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(rows), ensure_ascii=False), encoding="utf-8")
    return path


def loaded(**options: object) -> ExampleSets:
    return load_examples(DataConfig.model_validate(options))


def texts(**options: object) -> list[str]:
    sets = loaded(**options).train
    examples = [one for each in sets for one in each.examples() if isinstance(one, Example)]
    return ["/".join(message.content for message in example.messages) for example in examples]


def good(one: Example | RowProblem) -> Example:
    assert isinstance(one, Example)
    return one


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuneglm.hub._answers", lambda hub: False)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A hub that has every file it is asked for; what it was asked for is in the list."""
    asked: list[dict[str, Any]] = []

    def snapshot_download(repo_id: str, **options: Any) -> str:
        asked.append({"repo_id": repo_id, **options})
        for pattern in options["allow_patterns"]:
            name = pattern.replace("*", "0")
            write(Path(options["local_dir"]) / name, ROW)
        return str(options["local_dir"])

    monkeypatch.setattr("tuneglm.hub._answers", lambda hub: True)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.setattr("modelscope.snapshot_download", snapshot_download)
    return asked


@pytest.mark.parametrize("name", NAMES)
def test_names_of_the_original_are_valid(name: str) -> None:
    assert set_of(name, registered_sets()) is not None


@pytest.mark.parametrize("registered", registered_sets().values(), ids=list(registered_sets()))
def test_an_entry_says_what_a_person_needs(registered: Any) -> None:
    assert registered.description.endswith(".") and registered.files and registered.language
    assert registered.pages() or registered.command
    assert registered.format in {None, *FORMATS}
    assert (registered.restriction == "unstated") == (registered.licence == "none stated")
    # several files, or one whose name could be anybody's, have a folder of their own
    plain = len(registered.files) == 1 and "/" not in registered.files[0]
    assert plain or registered.folder
    names = [*registered_sets(), *(a for one in registered_sets().values() for a in one.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["alpaca_zh", "belle_0.5m", "codealpaca", "lima"])
def test_a_name_is_its_set_whatever_lies_here(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with a dot in it, and beside a file or folder of that name."""
    write(tmp_path / "data" / registered_sets()[name].files[0], {**ROW, "instruction": "set"})
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    assert texts(train=name) == ["set/b"]
    (tmp_path / name).rmdir()
    write(tmp_path / name, {**ROW, "instruction": "file"})
    assert texts(train=[name]) == ["set/b"]
    assert texts(train=[f"./{name}"]) == ["file/b"]


CHAT = {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
# rows in the shape of each set that is not plain Alpaca → what becomes of them
SHAPES: dict[str, tuple[dict[str, Any], str]] = {
    "belle_multiturn": (
        {"instruction": "Human:a\nAssistant:b\nHuman:c\nAssistant:", "input": "", "output": "d"},
        "a/b/c/d",
    ),
    "firefly": ({"kind": "NLI", "input": "a", "target": "b"}, "a/b"),
    "webqa": ({"input": "a", "output": "b", "id": 3}, "a/b"),
    "adgen_train": ({"content": "a", "summary": "b"}, "a/b"),
    "adgen_eval": ({"content": "a", "summary": "b"}, "a/b"),
    "ultra_chat": ({"id": "0", "data": ["a", "b", "c", "d"]}, "a/b/c/d"),
    "ultrachat_200k": (
        {
            "prompt": "a",
            "prompt_id": "0f",
            "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        },
        "a/b",
    ),
    "guanaco": (
        {"instruction": "User: a\nAssistant: b", "input": "User: c", "output": "d"},
        "a/b/c/d",
    ),
    "lima": (CHAT, "a/b"),
    "sharegpt_gpt4": (CHAT, "a/b"),
    "sharegpt_zh": ({"conversation_id": "1", **CHAT}, "a/b"),
    "coig_cqia": ({**ROW, "task_type": {"major": ["问答"]}, "domain": ["通用"]}, "a/b"),
    "glaive_toolcall_zh": ({**CHAT, "tools": "[]"}, "a/b"),
    "glaive_toolcall_en": ({**CHAT, "tools": "[]"}, "a/b"),
    "agent_instruct": ({**CHAT, "id": "os_0"}, "a/b"),
}


@pytest.mark.parametrize("registered", registered_sets().values(), ids=list(registered_sets()))
def test_each_set_is_read_in_its_own_shape(registered: Any, tmp_path: Path) -> None:
    row, expected = SHAPES.get(registered.name, (ROW, "a/b"))
    for name in registered.files:
        path = registered.base(tmp_path) / name.replace("*", "0")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), path)
        else:
            write(path, row)
    assert texts(train=registered.name, dir=str(tmp_path)) == [expected] * len(registered.files)


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize("registered", registered_sets().values(), ids=list(registered_sets()))
def test_a_set_that_is_not_here_says_what_goes_where(registered: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not here") as caught:
        texts(train=[registered.name], dir=str(tmp_path / "data"))
    sentence = str(caught.value)
    assert str(registered.base(tmp_path / "data")) in sentence
    assert all(page in sentence for page in registered.pages())
    assert registered.command is None or registered.command in sentence
    assert all(name in sentence for name in registered.files)
    assert not any((tmp_path / "data").rglob("*"))


def test_what_is_not_here_is_fetched_into_the_folder_once(
    tmp_path: Path, hub: list[dict[str, Any]]
) -> None:
    directory = str(tmp_path / "data")
    assert texts(train="alpaca_zh", dir=directory) == ["a/b"]
    assert texts(train="alpaca_zh", dir=directory) == ["a/b"]
    assert (tmp_path / "data" / "alpaca_data_zh_51k.json").is_file()
    assert [one["repo_id"] for one in hub] == ["llamafactory/alpaca_zh"]


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("guanaco", "guanaco"),
        ("ultra_chat", "ultra_chat/train_*.jsonl"),
        ("ultrachat_200k", "ultrachat_200k/data/train_sft-*.parquet"),
        ("webqa", "webqa/train.json"),
        ("belle_multiturn_chatglm", "multiturn_chat_0.8M.json"),
    ],
)
def test_a_set_is_a_file_or_a_pattern_or_a_folder_of_its_own(
    name: str, path: str, tmp_path: Path
) -> None:
    config = DataConfig.model_validate({"train": name, "dir": str(tmp_path)})
    registered, found = resolve(config.train[0], config)
    assert found == tmp_path / path
    assert registered is not None and registered.found(tmp_path) == found
    assert not list(tmp_path.rglob(registered.marker_name))


def test_a_download_that_broke_off_is_not_taken_for_the_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def snapshot_download(repo_id: str, **options: Any) -> str:
        write(Path(options["local_dir"]) / "data" / "train_sft-0.parquet", ROW)
        raise KeyboardInterrupt

    monkeypatch.setattr("tuneglm.hub._answers", lambda hub: True)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(KeyboardInterrupt):
        texts(train="ultrachat_200k", dir=str(tmp_path))
    assert registered_sets()["ultrachat_200k"].found(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("alpaca_zh", "non-commercial use only"),
        ("belle_0.5m", "research only"),
        ("alpaca_zh_demo", ""),
    ],
)
def test_a_restricted_licence_is_said(name: str, words: str, tmp_path: Path) -> None:
    write(tmp_path / registered_sets()[name].files[0], ROW)
    warnings = loaded(train=name, dir=str(tmp_path)).notes
    assert [words in line and f"`{name}`" in line for line in warnings] == ([True] if words else [])


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean `alpaca_gpt4_zh`"):
        texts(train="alpaca_gtp4_zh")
    with pytest.raises(DataError, match="did you mean `belle_multiturn_chatglm`"):
        texts(train="belle_multiturn_chatgml")


# registries of a person's own


Registry = Callable[..., str]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Write a registry beside a file of rows, and say where it is."""

    def write_registry(entries: object, name: str = "my.yaml") -> str:
        write(tmp_path / "my.json", {"q": "who?", "a": "me", "about": "x"}, {"q": "2", "a": "3"})
        (tmp_path / name).write_text(json.dumps(entries), encoding="utf-8")
        return str(tmp_path / name)

    return write_registry


MINE = {"columns": {"instruction": "q", "output": "a"}}


def test_a_registry_of_ones_own_in_our_form(registry: Registry, tmp_path: Path) -> None:
    path = registry({"mine": {"files": "my.json", **MINE, "restriction": "research-only"}})
    result = loaded(train="mine", registry=path, dir=str(tmp_path / "data"))
    assert texts(train="mine", registry=path) == ["who?/me", "2/3"]
    assert f"`mine` is what `{path}` says" in result.notes[0]
    assert "research only" in result.notes[1]


def test_its_names_win_and_that_is_said(registry: Registry) -> None:
    path = registry({"alpaca_zh": {"files": "my.json", **MINE}})
    result = loaded(train="alpaca_zh", registry=path)
    assert "not as tuneglm's own registry does" in result.notes[0]
    assert len(result.notes) == 1


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "is no registry"),
        ({"mine": "my.json"}, "is no registry"),
        ({"mine": {"file": "my.json"}}, "did you mean `files`"),
        ({"mine": {"description": "x"}}, "which files `mine` is"),
        ({"mine": {"files": "my.json", "rows": "many"}}, "`rows` of `mine` cannot be `many`"),
        ({"mine": {"files": "my.json", "format": "alpacca"}}, "did you mean `alpaca`"),
        ({"mine": {"file_name": 3}}, "`file_name` of `mine` should be text"),
        ({"mine": {"file_name": "my.json", "num_samples": 0}}, "should be a number of rows"),
        ({"mine": {"file_name": "my.json", "columns": []}}, "should be an object"),
    ],
)
def test_what_is_wrong_in_it_is_one_sentence(
    registry: Registry, entries: object, words: str
) -> None:
    with pytest.raises(DataError) as caught:
        texts(train="mine", registry=registry(entries))
    assert words in str(caught.value)


def test_a_registry_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"registry `.*none\.yaml` cannot be read"):
        texts(train="mine", registry=str(tmp_path / "none.yaml"))
    (tmp_path / "bad.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(DataError, match=r"bad\.yaml` cannot be read"):
        texts(train="mine", registry=str(tmp_path / "bad.yaml"))


def test_the_registry_stays_the_same_one_in_any_folder(registry: Registry) -> None:
    path = registry({"mine": {"files": "my.json"}})
    config = placed(DataConfig.model_validate({"train": "mine", "registry": path}))
    assert config.registry == path and config.train[0].name == "mine"


# dataset_info.json, as ChatGLM-Efficient-Tuning reads it: four columns, "" for what there is not

FIRST_DIALECT = {
    "mine": {
        "file_name": "my.json",
        "file_sha1": "0" * 40,
        "columns": {"prompt": "q", "query": "", "response": "a", "history": ""},
    },
    "remote": {"hf_hub_url": "somebody/some_rows"},
    "made": {"script_url": "made"},
    "belle_multiturn_chatglm": {
        "script_url": "belle_multiturn",
        "columns": {
            "prompt": "instruction",
            "query": "",
            "response": "output",
            "history": "history",
        },
    },
    "firefly": {
        "hf_hub_url": "YeungNLP/firefly-train-1.1M",
        "columns": {"prompt": "input", "query": "", "response": "target", "history": ""},
    },
}


def test_the_first_dialect(registry: Registry) -> None:
    path = registry(FIRST_DIALECT, "dataset_info.json")
    result = loaded(train="mine", registry=path)
    assert texts(train="mine", registry=path) == ["who?/me", "2/3"]
    assert "its SHA-1 is another" in result.notes[-1]


def test_the_right_file_is_not_warned_of(registry: Registry, tmp_path: Path) -> None:
    registry({})
    sha1 = hashlib.sha1((tmp_path / "my.json").read_bytes()).hexdigest()
    path = registry({"mine": {**FIRST_DIALECT["mine"], "file_sha1": sha1}}, "dataset_info.json")
    assert not any("SHA-1" in line for line in loaded(train="mine", registry=path).notes)


def test_one_in_the_folder_of_data_is_read_without_being_told(
    registry: Registry, tmp_path: Path
) -> None:
    path = registry(FIRST_DIALECT, "dataset_info.json")
    result = loaded(train="mine", dir=str(tmp_path))
    assert f"`mine` is what `{path}` says" in result.notes[0]


def test_a_script_is_refused_with_words_unless_the_set_is_ours(registry: Registry) -> None:
    path = registry(FIRST_DIALECT, "dataset_info.json")
    with pytest.raises(DataError, match="none is ever executed here"):
        texts(train="made", registry=path)
    known = known_sets(DataConfig(registry=path))
    assert known["belle_multiturn_chatglm"].format == "belle_multiturn"


def test_a_repository_of_ours_is_ours_also_under_another_name(registry: Registry) -> None:
    entry = {"ms_hub_url": "AI-ModelScope/train_2M_CN", "num_samples": 7}
    path = registry({**FIRST_DIALECT, "belle": entry}, "dataset_info.json")
    known = known_sets(DataConfig(registry=path))
    assert known["firefly"].format == "firefly" and known["firefly"].columns == {}
    assert known["belle"].files == ("train_2M_CN.json",)
    assert known["belle"].restriction == "research-only" and known["belle"].max_rows == 7


def test_of_another_repository_all_data_files_but_the_held_out_ones(
    registry: Registry, tmp_path: Path, hub: list[dict[str, Any]]
) -> None:
    config = DataConfig(registry=registry(FIRST_DIALECT, "dataset_info.json"), dir=str(tmp_path))
    registered = known_sets(config)["remote"]
    _, path = resolve(DataConfig.model_validate({"train": "remote"}).train[0], config)
    assert path == tmp_path / "remote" == registered.found(tmp_path)
    assert "*.parquet" in hub[0]["allow_patterns"]
    assert "*[-._]test[-._/]*" in hub[0]["ignore_patterns"]


@pytest.mark.parametrize("name", ["alpaca_cot", "comparison_gpt4_zh", "hh_rlhf_en", "example"])
def test_a_name_of_the_original_without_answers_says_what_to_take(name: str) -> None:
    with pytest.raises(DataError) as caught:
        texts(train=name)
    assert f"`{name}`" in caught.value.sentence and caught.value.hint


def test_a_file_called_as_a_restricted_set_is_told_of(tmp_path: Path) -> None:
    notes = loaded(train=str(write(tmp_path / "lima.json", ROW))).notes
    assert any("non-commercial" in note and "`lima`" in note for note in notes)
    assert loaded(train=str(write(tmp_path / "mine.json", ROW))).notes == ()


def test_a_pattern_without_a_folder_and_a_comma_in_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "part-1", ROW)
    write(tmp_path / "a,b.json", {**ROW, "instruction": "comma"})
    assert texts(train="part-*") == ["a/b"]
    assert texts(train="a,b.json") == ["comma/b"]


# dataset_info.json, as LLaMA-Factory reads it

SECOND_DIALECT = {
    "asked": {
        "file_name": "my.json",
        "columns": {"prompt": "q", "response": "a"},
        "num_samples": 1,
    },
    "talks": {"file_name": "t.json", "formatting": "sharegpt", "columns": {"messages": "turns"}},
    "tagged": {
        "file_name": "t.json",
        "formatting": "sharegpt",
        "columns": {"messages": "turns", "tools": "functions"},
        "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user"},
    },
    "odd": {
        "file_name": "t.json",
        "formatting": "sharegpt",
        "columns": {"messages": "turns"},
        "tags": {
            "role_tag": "who",
            "content_tag": "says",
            "user_tag": "客户",
            "assistant_tag": "客服",
            "system_tag": "system",
        },
    },
    "plain": {"file_name": "my.json", "columns": {"prompt": "about"}},
    "part": {"hf_hub_url": "a/b", "subset": "en", "split": "test", "folder": "rows"},
    "pairs": {"file_name": "p.json", "ranking": True, "columns": {"chosen": "c", "rejected": "r"}},
    "seen": {"file_name": "p.json", "columns": {"messages": "m", "images": "i"}},
    "strange": {"file_name": "p.json", "formatting": "sharegtp"},
    "cloud": {"cloud_file_name": "s3://bucket/p.json"},
    "newer": {
        "file_name": "my.json",
        "load_from": "file",
        "columns": {"prompt": "q", "response": "a"},
    },
}


@pytest.fixture
def second(registry: Registry) -> str:
    return registry(SECOND_DIALECT, "dataset_info.json")


def test_the_second_dialect(second: str) -> None:
    """A column that is not named is not there, and so many rows are enough."""
    assert texts(train="asked", registry=second) == ["who?/me"]


def test_its_conversations_are_our_formats(second: str) -> None:
    known = known_sets(DataConfig(registry=second))
    assert (known["talks"].format, known["talks"].columns) == (
        "sharegpt",
        {"conversations": "turns"},
    )
    assert (known["tagged"].format, known["tagged"].columns) == (
        "messages",
        {"messages": "turns", "tools": "functions"},
    )
    assert known["odd"].format == "sharegpt"
    assert (known["plain"].format, known["plain"].columns) == ("text", {"text": "about"})


def test_its_messages_have_the_keys_and_speakers_that_tags_name(
    second: str, tmp_path: Path
) -> None:
    said = [("system", "be kind"), ("客户", "q?"), ("客服", "a!")]
    write(tmp_path / "t.json", {"turns": [{"who": who, "says": says} for who, says in said]})
    (rows,) = loaded(train="odd", registry=second, dir=str(tmp_path)).train
    (row,) = map(good, rows.examples())
    assert [(each.role, each.content) for each in row.messages] == [
        ("system", "be kind"),
        ("user", "q?"),
        ("assistant", "a!"),
    ]


def test_of_its_pairs_the_better_answers_are_taken(second: str, tmp_path: Path) -> None:
    row = {"instruction": "q?", "c": "good", "r": "bad"}
    write(tmp_path / "p.json", row)
    pairs = loaded(train="pairs", registry=second, dir=str(tmp_path))
    assert texts(train="pairs", registry=second, dir=str(tmp_path)) == ["q?/good"]
    assert any("the rejected ones not read" in note for note in pairs.notes)


def test_a_part_of_a_repository(second: str) -> None:
    part = known_sets(DataConfig(registry=second))["part"]
    assert "rows/*en*test**.json" in part.only and part.never == (
        "dataset_info*.json",
        "*/dataset_info*.json",
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("seen", "holds images (`images`)"),
        ("strange", "did you mean `sharegpt`"),
        ("cloud", "names no file"),
    ],
)
def test_what_cannot_be_used_is_refused_where_it_is_used(
    second: str, name: str, words: str
) -> None:
    with pytest.raises(DataError) as caught:
        texts(train=name, registry=second)
    assert words in str(caught.value)


def test_what_is_passed_over_is_said(second: str) -> None:
    warnings = loaded(train="newer", registry=second).notes
    assert any("`load_from` is not known here and passed over" in line for line in warnings)
