"""Sets of any size: encoded once, in blocks, and gone on with where a run was stopped."""

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyarrow import Table
from pyarrow.parquet import write_table

from tests import letters
from tuneglm.data import blocks, encoded_store, pipeline
from tuneglm.data.check import check
from tuneglm.data.cutoff import Rule
from tuneglm.data.encode import Encoder, encode_usable
from tuneglm.data.encoded import Encoded
from tuneglm.data.example_set import RowProblem
from tuneglm.data.examples import load_examples
from tuneglm.data.fingerprint import fingerprint
from tuneglm.data.messages import Example, Rendered
from tuneglm.data.pipeline import EncodedData, encode_data
from tuneglm.data_config import DataConfig
from tuneglm.errors import DataError

BLOCK, RULE = 16, Rule()
ROOT = Path(__file__).parents[2]
CHINESE = [
    {"instruction": f"介绍一下第{number}个城市的历史", "output": "很久以前，这里有一座小城。"}
    for number in range(9)
]
ROWS = [{"instruction": f"question {number}", "output": f"answer {number}"} for number in range(99)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "BLOCK", BLOCK)


def write(path: Path, rows: list[Any] = ROWS) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def encode(path: Path, rule: Rule = RULE, name: str = "letters", **data: Any) -> EncodedData:
    cache = {"cache": str(path.parent / "cache"), "workers": 1}
    config = DataConfig.model_validate({"train": str(path), **cache, **data})
    return encode_data(load_examples(config), Encoder(letters.render, rule, name), config)


def stores(folder: Path) -> list[Path]:
    return sorted((folder / "cache").glob("*"))


def in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Encoded]:
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "BLOCK", 1000)
        return list(encode(path).train.rows)


@pytest.mark.parametrize("workers", [1, 2])
def test_blocks_by_one_process_or_several_give_the_same_rows(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "rows.jsonl")
    expected = in_memory(path, monkeypatch)
    assert not stores(tmp_path)
    assert list(encode(path, workers=workers).train.rows) == expected
    assert [row.source.line for row in expected if row.source] == list(range(1, 100))


@pytest.mark.parametrize(("rows_a_block", "times"), [(20, 1), (40, 0)])
def test_an_encoder_is_prepared_for_very_many_rows(
    rows_a_block: int, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "rows.jsonl")
    monkeypatch.setattr(pipeline, "BLOCK", rows_a_block)
    config = DataConfig(train=str(path), cache=str(tmp_path / "cache"), workers=1)  # type: ignore[arg-type]
    calls: list[int] = []
    encoder = Encoder(letters.render, Rule(), "letters", lambda: calls.append(1))
    encode_data(load_examples(config), encoder, config)
    assert len(calls) == times


def test_rows_have_one_fingerprint_in_memory_and_in_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "rows.jsonl")
    stored = fingerprint(encode(path).train.rows)
    assert stored != fingerprint(encode(path, Rule(train_on="last", cutoff=20)).train.rows)
    monkeypatch.setattr(pipeline, "BLOCK", 1000)
    assert stored == fingerprint(encode(path).train.rows)


def test_the_next_run_reads_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "rows.jsonl")
    first = list(encode(path).train.rows)
    monkeypatch.setattr(blocks, "encode_usable", None)
    assert list(encode(path).train.rows) == first


def test_a_run_that_was_stopped_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "rows.jsonl")
    expected = in_memory(path, monkeypatch)

    def stop(_: str, read: int) -> None:
        if read > 2 * BLOCK:
            raise KeyboardInterrupt

    config = DataConfig(train=str(path), cache=str(tmp_path / "cache"), workers=1)  # type: ignore[arg-type]
    encoder = Encoder(letters.render, Rule(), "letters")
    with pytest.raises(KeyboardInterrupt):
        encode_data(load_examples(config), encoder, config, stop)
    # what a process that was killed in the middle of a write leaves behind
    with (stores(tmp_path)[0] / "ids.bin").open("ab") as file:
        file.write(b"half a row")
    read = []
    data = encode_data(load_examples(config), encoder, config, lambda _, rows: read.append(rows))
    assert read[0] == 4 * BLOCK
    assert list(data.train.rows) == expected


def changes() -> Iterator[tuple[str, Any]]:
    yield "rule", lambda path: encode(path, Rule(cutoff=99))
    yield "tokenizer", lambda path: encode(path, name="other letters")
    yield "settings", lambda path: encode(path, train=[{"path": str(path), "replace": {"n": "m"}}])
    yield "content", lambda path: encode(write(path, [*ROWS[1:], ROWS[0]]))


@pytest.mark.parametrize(("what", "change"), list(changes()), ids=[name for name, _ in changes()])
def test_whatever_changes_the_tokens_makes_another_store(
    what: str, change: Any, tmp_path: Path
) -> None:
    path = write(tmp_path / "rows.jsonl")
    encode(path)
    change(path)
    assert len(stores(tmp_path)) == 2, what


def test_a_damaged_store_is_made_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl")
    expected = list(encode(path).train.rows)
    (store,) = stores(tmp_path)
    with (store / "flags.bin").open("r+b") as file:
        file.truncate(5)
    assert list(encode(path).train.rows) == expected


def test_a_bad_row_stops_the_run_or_is_listed_in_a_large_set_too(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [*ROWS[:50], {"instruction": "a"}, *ROWS[50:]])
    for _ in range(2):
        with pytest.raises(DataError, match=r"rows\.jsonl:51`.*output"):
            encode(path)
    for _ in range(2):
        data = encode(path, bad_rows="skip")
        assert len(data.train.rows) == len(ROWS)
        assert (data.skipped, data.problems[0].source.line) == (1, 51)
    with pytest.raises(DataError, match=r"rows\.jsonl:51`"):
        encode(path)


def test_where_nothing_is_left_it_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [{"instruction": "q" * 40, "output": "a"}])
    with pytest.raises(DataError, match=r"1 are too long: data\.cutoff is 16"):
        encode(path, Rule(16, "drop"))
    path = write(tmp_path / "rows.jsonl", [{"instruction": "q", "output": ""}])
    with pytest.raises(DataError, match="None of the 1 rows"):
        encode(path, bad_rows="skip")


@pytest.mark.parametrize("workers", [1, 2])
def test_files_of_any_kind_in_one_folder_are_one_set(workers: int, tmp_path: Path) -> None:
    """Rows know their own file, and what was found out about a file is told."""
    folder = tmp_path / "rows"
    folder.mkdir()
    write(folder / "b.jsonl", ROWS[:30])
    table = "instruction,output\n" + "你好，你是谁？,我是一个助手。\n" * 30
    (folder / "a.csv").write_text(table, encoding="gbk")
    write_table(Table.from_pylist(ROWS[:30]), folder / "c.parquet")
    data = encode(folder, workers=workers)
    sources = [row.source for row in data.train.rows]
    places = [(Path(source.file).name, source.line, source.row) for source in sources if source]
    assert places == [
        *(("a.csv", number + 1, number) for number in range(1, 31)),
        *(("b.jsonl", number, number) for number in range(1, 31)),
        *(("c.parquet", number, number) for number in range(1, 31)),
    ]
    *_, files, encoding, copies = data.notes
    assert (files, encoding) == (
        f"`{folder}`: 3 files are read: a.csv, b.jsonl, c.parquet",
        f"`{folder / 'a.csv'}` is GBK: read as such",
    )
    assert copies.startswith("59 rows are doubtful (59 duplicate)")


def test_columns_that_only_some_rows_have_are_told_of(tmp_path: Path) -> None:
    """Counted over all rows, also those of a store; a name that is nearly ours is proposed."""
    rows: list[dict[str, str]] = [{"instruction": f"q{i}", "output": "a"} for i in range(60)]
    rows[57] |= {"systm": "s", "extra": "e"}
    rows[58] |= {"extra": "e", "Input": "i"}
    path = tmp_path / "some.json"
    path.write_text(json.dumps(rows))
    told = (
        "`some.json`: not used, for only some rows have it: `extra` (2 rows), `systm` (1 row: "
        "did you mean `system`?), `Input` (1 row: did you mean `input`?)."
    )
    for _ in range(2):
        assert told in encode(path).notes
    problems: list[RowProblem] = []
    config = DataConfig.model_validate({"train": str(path)})
    assert told in check(config, problems.append).notes
    assert not encode(path, train=[{"path": str(path), "format": "alpaca"}]).notes


@pytest.mark.parametrize("name", ["ids", "flags", "rows"])
def test_damaged_bytes_are_not_trained_on(name: str, tmp_path: Path) -> None:
    """Zeros in place of what was written: encoded anew, whole or not yet finished."""
    path = write(tmp_path / "rows.jsonl")
    before = encode(path)
    (store,) = stores(tmp_path)
    array = store / f"{name}.bin"
    state = json.loads((store / "state.json").read_text())
    for changed in ({}, {"finished": False, "read": 96}):
        content = array.read_bytes()
        array.write_bytes(content[:40] + bytes(60) + content[100:])
        (store / "state.json").write_text(json.dumps(state | changed))
        after = encode(path)
        assert fingerprint(after.train.rows) == fingerprint(before.train.rows)
        assert array.read_bytes() == content


def test_a_store_keeps_what_waits_to_be_filled(tmp_path: Path) -> None:
    rows = [{"instruction": f"q{i}", "output": "I am <NAME>."} for i in range(60)]
    path = write(tmp_path / "rows.jsonl", rows)
    for _ in range(2):
        (note,) = encode(path).notes
        assert "still holds `<NAME>` in 60 rows" in note


def test_where_no_folder_can_be_made_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As below /proc, where the system says that there is none."""

    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with (
        pytest.raises(DataError, match=r"cannot be kept in .*: No such file"),
        encoded_store.opened(tmp_path / "cache" / "store"),
    ):
        pass


def test_only_stores_that_nobody_opened_for_long_are_forgotten(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl")
    encode(path)
    (store,) = stores(tmp_path)
    foreign = store.parent / "photos"
    foreign.mkdir()
    for folder in (store, foreign):
        os.utime(folder, (0, 0))
    encode(path, name="other letters")
    assert not store.exists()
    assert foreign.exists() and len(stores(tmp_path)) == 2


def test_what_reading_found_out_is_said_by_every_run(tmp_path: Path) -> None:
    """Also of a file that a finished store makes it needless to read."""
    folder = tmp_path / "rows"
    folder.mkdir()
    write(folder / "a.jsonl")
    (folder / "b.jsonl").write_text(
        "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in CHINESE), encoding="gbk"
    )
    first = encode(folder).notes
    assert any("GBK" in note for note in first)
    assert encode(folder).notes == first


def test_rows_for_which_a_prompt_has_no_place_are_problems_of_their_own(tmp_path: Path) -> None:
    def render(examples: Sequence[Example], *, generation_prompt: bool = False) -> list[Rendered]:
        for example in examples:
            if example.messages[0].content in ("question 3", "question 40"):
                raise DataError(f"No place for this ({example.source}).", "leave it out")
        return letters.render(examples)

    path = write(tmp_path / "rows.jsonl")
    config = DataConfig.model_validate(
        {"train": str(path), "cache": str(tmp_path / "cache"), "workers": 1, "bad_rows": "skip"}
    )
    data = encode_data(load_examples(config), Encoder(render, RULE, "tools"), config)
    assert len(data.train.rows) == len(ROWS) - 2
    assert [str(problem) for problem in data.problems] == [
        f"`{path}:{line}`: No place for this." for line in (4, 41)
    ]
    stops = config.model_copy(update={"bad_rows": "stop"})
    with pytest.raises(DataError, match=r"rows\.jsonl:4`: No place"):
        encode_data(load_examples(stops), Encoder(render, RULE, "tools"), stops)


def test_a_refused_row_is_found_without_rendering_each(tmp_path: Path) -> None:
    calls = 0

    def render(examples: Sequence[Example], *, generation_prompt: bool = False) -> list[Rendered]:
        nonlocal calls
        calls += 1
        for example in examples:
            if example.messages[0].content in ("question 300", "question 1000"):
                raise DataError(f"No place for this ({example.source}).", "leave it out")
        return letters.render(examples)

    rows = [{"instruction": f"question {n}", "output": "x"} for n in range(1024)]
    sets = load_examples(DataConfig(train=str(write(tmp_path / "a.jsonl", rows))))  # type: ignore[arg-type]
    examples = [one for one in sets.train[0].examples() if isinstance(one, Example)]
    block, problems = encode_usable(examples, render, RULE)
    assert [one.source.line for one in problems] == [301, 1001]
    assert len(block.rows) == 1022 and calls < 50


def test_processes_that_are_spawned_give_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where there is no fork; also of a set from which this process has read already."""
    path = write(tmp_path / "rows.jsonl")
    expected = in_memory(path, monkeypatch)
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    entry = {"path": str(path), "replace": {"question": "Frage"}}
    config = DataConfig.model_validate(
        {"train": [entry], "cache": str(tmp_path / "cache"), "workers": 2}
    )
    sets = load_examples(config)
    next(sets.train[0].examples())
    rows = encode_data(sets, Encoder(letters.render, RULE, "letters"), config).train.rows
    texts = [letters.text_of(row).replace("Frage", "question") for row in rows]
    assert texts == [letters.text_of(row) for row in expected]


def test_changed_code_makes_another_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template, or what encodes: an old store is never met."""
    package = tmp_path / "package"
    for folder in ("data", "models"):
        for file in (encoded_store.PACKAGE / folder).rglob("*.py"):
            copy = package / file.relative_to(encoded_store.PACKAGE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    monkeypatch.setattr(encoded_store, "PACKAGE", package)
    path = write(tmp_path / "rows.jsonl")
    prompts = [*package.glob("models/*/prompt.py")]
    assert len(prompts) > 2
    for count, changed in enumerate((None, *prompts, package / "data" / "encode.py"), 1):
        if changed is not None:
            changed.write_bytes(changed.read_bytes() + b"# changed\n")
        encoded_store.code_digest.cache_clear()
        encode(path)
        encode(path)
        assert len(stores(tmp_path)) == count
    encoded_store.code_digest.cache_clear()


def test_who_stops_while_rows_are_encoded_is_told_that_they_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl")
    cache = tmp_path / "cache"
    config = DataConfig.model_validate({"train": str(path), "cache": str(cache), "workers": 1})

    def stop(_: str, read: int) -> None:
        if read > 2 * BLOCK:
            raise KeyboardInterrupt

    sentence = rf"The first 48 rows of `rows\.jsonl` are encoded and kept in `{cache}`"
    with pytest.raises(KeyboardInterrupt, match=sentence):
        encode_data(load_examples(config), Encoder(letters.render, RULE, "letters"), config, stop)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_who_waits_for_another_process_sees_how_far_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", ROWS * 100)
    program = (
        "import sys, time, tests.data.test_pipeline as t\n"
        "from pathlib import Path\n"
        "render = t.letters.render\n"
        "def slow(examples, **more):\n"
        "    time.sleep(0.001)\n"
        "    return render(examples, **more)\n"
        "t.letters.render = slow\n"
        "t.pipeline.BLOCK = t.BLOCK\n"
        "t.encode(Path(sys.argv[1]))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=ROOT)
    wait_until(lambda: any(each.stat().st_size for each in tmp_path.glob("cache/*/ids.bin")))
    heard: list[int] = []
    cache = {"cache": str(tmp_path / "cache"), "workers": 1}
    config = DataConfig.model_validate({"train": str(path), **cache})
    encoder = Encoder(letters.render, RULE, "letters")
    encode_data(load_examples(config), encoder, config, lambda _, read: heard.append(read))
    assert process.wait() == 0
    assert heard and heard == sorted(heard)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_run_that_is_killed_leaves_nobody_and_the_next_one_goes_on(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", ROWS * 300)
    program = (
        "import sys, tests.data.test_pipeline as t\n"
        "from pathlib import Path\n"
        "t.encode(Path(sys.argv[1]), workers=2)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=ROOT)
    wait_until(lambda: any(each.stat().st_size for each in tmp_path.glob("cache/*/ids.bin")))
    process.kill()
    process.wait()
    wait_until(lambda: not processes_with(str(path)))
    assert len(encode(path).train.rows) == len(ROWS) * 300


def wait_until(happens: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.02)


def processes_with(argument: str) -> list[str]:
    commands = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    return [command.decode() for command in commands if argument.encode() in command]
