"""`tuneglm data check`, `stats` and `show`, as they are typed."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.planted import FAULTS, as_line, good, plant, plant_conversations
from tuneglm.cli import main
from tuneglm.data.doubts import DOUBT_BITS
from tuneglm.data.problems import DOUBTS, PROBLEMS
from tuneglm.demo import MODEL_FOLDER

MODEL = f"model.path={MODEL_FOLDER}"
Call = Callable[..., tuple[str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """A command → what it prints, and what it says on stderr."""

    def called(*words: object, status: int = 0) -> tuple[str, str]:
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        said = capsys.readouterr()
        assert left.value.code == status, said
        return said.out, said.err

    return called


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_bytes(b"\n".join(as_line(**row) for row in rows))
    return path


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_every_planted_fault_is_found_in_its_line_and_nothing_else(
    end: bytes, call: Call, tmp_path: Path
) -> None:
    faults, sound = plant(tmp_path / "rows.jsonl", end)
    out, summary = call("data", "check", tmp_path / "rows.jsonl", "--json", status=1)
    found = objects(out)
    assert sorted((one["line"], one["problem"]) for one in found) == faults
    assert {one["file"] for one in found} == {str(tmp_path / "rows.jsonl")}
    assert all(one["message"] and one["problem"] in PROBLEMS for one in found)
    errors = len(faults) - len(DOUBTS)
    expected = (
        f"{len(sound) + len(faults)} rows: {len(sound)} without a problem, {errors} cannot be used"
    )
    assert expected in " ".join(summary.split())


def test_conversations_too(call: Call, tmp_path: Path) -> None:
    faults = plant_conversations(tmp_path / "rows.jsonl")
    out, _ = call("data", "check", tmp_path / "rows.jsonl", "--json", status=1)
    assert [(one["line"], one["problem"]) for one in objects(out)] == faults


def test_a_run_stops_at_the_first_with_the_same_words(call: Call, tmp_path: Path) -> None:
    plant(tmp_path / "rows.jsonl")
    out, _ = call("data", "check", tmp_path / "rows.jsonl", "--json", status=1)
    first = objects(out)[0]
    run = (
        MODEL,
        f"data.train={tmp_path / 'rows.jsonl'}",
        f"training.output_dir={tmp_path / 'out'}",
    )
    _, error = call("train", *run, status=2)
    assert f"`{first['file']}:{first['line']}`: {first['message']}." in error
    assert first["remedy"] in error


def test_a_file_without_data_is_a_problem_too(call: Call, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "pointer.jsonl").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "none.json").write_text("[]")
    files = [tmp_path / name for name in ("empty.jsonl", "pointer.jsonl", "none.json")]
    out, _ = call("data", "check", *files, "--json", status=1)
    found = {(Path(one["file"]).name, one["problem"]) for one in objects(out)}
    assert found == {
        ("empty.jsonl", "unreadable"),
        ("pointer.jsonl", "unreadable"),
        ("none.json", "no_rows"),
    }


@pytest.mark.parametrize("streaming", ["false", "true"])
def test_a_run_that_skips_them_trains_on_exactly_the_others(
    streaming: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults, sound = plant(tmp_path / "rows.jsonl")
    rows: list[Any] = []

    class SeenError(Exception):
        """There is no need to train."""

    def batches(_: object, train: Any, *__: object) -> None:
        given = train.one_pass(0) if streaming == "true" else train
        rows.extend(given)
        raise SeenError

    monkeypatch.setattr("tuneglm.training.batches", batches)
    run = (MODEL, f"data.train={tmp_path / 'rows.jsonl'}", "data.bad_rows=skip")
    out = f"training.output_dir={tmp_path / 'out'}"
    streams = (f"data.streaming={streaming}", "training.max_steps=1")
    with pytest.raises(SeenError):
        main(["train", *run, *streams, out])
    lines = {line for line, _ in faults}
    expected = [line for line in range(1, 2 * len(FAULTS) + 2) if line not in lines]
    if streaming == "true":  # what is read once cannot be compared with all before it
        expected.append(next(line for line, word in faults if word == "duplicate"))
    assert sorted(row.source.line for row in rows) == sorted(expected)
    assert len(sound) == len(set(expected)) - (streaming == "true")


def test_doubtful_rows_are_used_and_told_of(call: Call, tmp_path: Path) -> None:
    """A run says it in a note; the rows are left out only where they shall be."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join([good(1), good(2), good(1)]))
    settings = (MODEL, f"data.train={path}", "training.max_steps=1", "training.bf16=false")
    out, _ = call("train", *settings, f"training.output_dir={tmp_path / 'a'}")
    assert "1 row is doubtful (1 duplicate)" in " ".join(out.split())
    assert "3 rows" in out
    more = (f"training.output_dir={tmp_path / 'b'}", "data.bad_rows=skip")
    out, _ = call("train", *settings, *more)
    assert "1 row is doubtful and left out (1 duplicate)" in " ".join(out.split())
    assert "2 rows" in out


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        (b'{"instruction": "q", "output": ""}\n' * 3, "3 cannot be used (3 empty_answer)"),
        (b'["a", "b"]', "2 cannot be used (2 not_an_object)"),
        (b"<html>", "0 cannot be used"),
        (gzip.compress(b'[{"instruction": "q"}]', mtime=0)[:20], "0 cannot be used"),
    ],
)
def test_files_without_one_good_row(content: bytes, kinds: str, call: Call, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    out, _ = call("data", "check", str(path), status=1)
    assert f"0 without a problem, {kinds}, 0 doubtful" in " ".join(out.split())
    assert ("; not counted as rows: 1 unreadable" in out) == kinds.startswith("0")


def test_the_counts_of_a_check_add_up(call: Call, tmp_path: Path) -> None:
    """Where a file cannot be read further, what was read are the rows, and that is no row's."""
    good = '{"instruction": "q", "output": "a"}'
    (tmp_path / "rows.json").write_text(f'[{good}, {good[:-1]}, "output": ""}}, {good[:-1]}]')
    out, _ = call("data", "check", tmp_path / "rows.json", status=1)
    said = " ".join(out.split())
    assert "2 rows: 1 without a problem, 1 cannot be used (1 double_key), 0 doubtful" in said
    assert "; not counted as rows: 1 bad_json" in said


def test_an_answer_that_is_cut_is_a_problem_of_the_check(call: Call, tmp_path: Path) -> None:
    """Which rows, is said; what comes before an answer may be shortened."""
    path = write(tmp_path / "rows.jsonl", *LONG)
    out, _ = call("data", "check", path)
    assert "4 rows: 4 without a problem, 0 cannot be used, 0 doubtful" in out
    out, _ = call("data", "check", path, MODEL, "data.cutoff=32", status=1)
    said = " ".join(out.split())
    assert "data.cutoff is 32: cuts 1 row (25.0%), the answer of 1 (25.0%)" in said
    assert "line 2: the answer is cut: the row has" in said
    assert "3 without a problem, 0 cannot be used, 0 doubtful, the answer of 1 row cut" in said
    out, _ = call("data", "check", path, MODEL, "data.cutoff=32", "--json", status=1)
    (note,) = objects(out)
    assert (note["line"], note["problem"], note["severity"]) == (2, "answer_cut", "note")
    twice = f"data.train=[{{path: {path}, max_rows: 4}}, {{path: {path}, max_rows: 4}}]"
    out, _ = call("data", "check", twice, MODEL, "data.cutoff=32", "--json", status=1)
    assert [one["problem"] for one in objects(out)] == ["given_twice", "answer_cut"]
    long = write(tmp_path / "long.jsonl", {**LONG[0], "input": "three four five " * 60})
    out, _ = call("data", "check", long, MODEL, "data.cutoff=32", "--json")
    assert [note["problem"] for note in objects(out)] == ["row_cut"]
    drop = (MODEL, "data.cutoff=32", "data.over_cutoff=drop", "--json")
    out, _ = call("data", "check", path, *drop)
    assert [(note["line"], note["problem"]) for note in objects(out)] == [(2, "left_out")]


def test_a_set_of_which_nothing_is_left_does_not_pass(call: Call, tmp_path: Path) -> None:
    """Rows that are left out are not without a problem; without any other, nothing is trained."""
    path = write(tmp_path / "rows.jsonl", *LONG)
    drop = (MODEL, "data.over_cutoff=drop")
    out, _ = call("data", "check", path, *drop, "data.cutoff=32")
    said = " ".join(out.split())
    assert "4 rows: 3 without a problem, 0 cannot be used, 0 doubtful, 1 left out" in said
    path = write(tmp_path / "long.jsonl", LONG[1])
    out, _ = call("data", "check", path, *drop, "data.cutoff=32", status=1)
    said = " ".join(out.split())
    assert "no row of `long.jsonl` is left to train on" in said
    assert "1 row: 0 without a problem" in said and "1 left out" in said


def test_white_space_that_a_vocabulary_spells_is_not_called_plain_text(
    call: Call, tmp_path: Path
) -> None:
    rows = [{"instruction": f"a{text}b", "output": "c"} for text in ("<|blank_5|>", "<|tab|>")]
    path = write(tmp_path / "rows.jsonl", *rows, {"instruction": "<|user|>", "output": "d"})
    found = objects(call("data", "check", path, "--json", status=1)[0])
    assert [one["problem"] for one in found] == ["special_text"] * 3
    assert ["white space" in one["remedy"] for one in found] == [True, True, False]


def test_an_unknown_flag_is_said_by_the_command_that_was_typed(call: Call) -> None:
    _, error = call("data", "identity", "--name", "a", "--author", "b", "--nme", "c", status=2)
    assert "unrecognized arguments: --nme" in error and "did you mean `--name`?" in error
    _, error = call("data", "identity", "--name", "a", "--author", "b", "--else", "c", status=2)
    assert "tuneglm data identity --help" in error


def test_rows_that_the_prompt_has_no_place_for_cannot_be_used(call: Call, tmp_path: Path) -> None:
    """Which only the model tells: `check` and `stats` count them alike."""
    called = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [{"name": "f", "arguments": {}}]},
        {"role": "tool", "content": "1"},
        {"role": "assistant", "content": "a"},
    ]
    rows = [{"messages": called}, {"messages": [called[0], called[3]]}]
    path = write(tmp_path / "rows.jsonl", *rows)
    model = f"model.path={MODEL_FOLDER.with_name('model_chatglm')}"
    out, _ = call("data", "check", path, model, status=1)
    assert "1 without a problem, 1 cannot be used (1 not_rendered)" in " ".join(out.split())
    (found,) = objects(call("data", "stats", path, model, "--json")[0])
    assert (found["rows"], found["unusable"], found["turns"]) == (1, 1, 2)


LONG = [
    {"instruction": "one", "output": "two"},
    {"instruction": "one", "output": "three four five " * 60},
    {"instruction": "six", "output": "seven"},
    {"instruction": "eight", "output": "nine"},
]


def test_the_cutoff_that_would_do_is_proposed(call: Call, tmp_path: Path) -> None:
    """For all rows but one in a hundred."""
    path = write(tmp_path / "rows.jsonl", *LONG)
    out, _ = call("data", "check", path, MODEL, "data.cutoff=32", status=1)
    proposed = out.split("; data.cutoff=")[1].split()[0]
    out, _ = call("data", "check", path, MODEL, f"data.cutoff={proposed}")
    assert "cuts 0 rows" in out
    lower = int(proposed) - 8
    out, _ = call("data", "check", path, MODEL, f"data.cutoff={lower}", status=1)
    assert "cuts 1 row " in out


def test_lengths_are_drawn(call: Call, tmp_path: Path) -> None:
    path, picture = write(tmp_path / "rows.jsonl", *LONG), tmp_path / "lengths.png"
    out, _ = call("data", "check", path, MODEL, "--png", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "█" in out
    _, error = call("data", "check", path, "--png", picture, status=2)
    assert "model.path" in error


def test_a_file_that_breaks_off_is_a_problem_and_the_others_are_checked(
    call: Call, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('[{"instruction": "a", "output": "b"},\n{"instruction": "a" "output": "b"}]')
    other = write(tmp_path / "other.jsonl", {"instruction": "a"})
    out, _ = call("data", "check", broken, other, "--json", status=1)
    places = [(Path(one["file"]).name, one["line"], one["problem"]) for one in objects(out)]
    assert sorted(places) == [
        ("broken.json", 2, "bad_json"),
        ("other.jsonl", 1, "missing_column"),
    ]
    call("data", "check", broken, other, MODEL, status=1)


def test_a_row_in_two_entries_of_a_mix_is_no_copy_of_itself(call: Call, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", *LONG)
    out, _ = call("data", "check", f"data.train=[{{path: {path}, repeats: 3}}, {path}]")
    assert "8 rows: 8 without a problem" in out
    copy = write(tmp_path / "copy.jsonl", LONG[1])
    out, _ = call("data", "check", path, copy, "--json", status=1)
    (found,) = objects(out)
    assert (found["file"], found["problem"]) == (str(copy), "duplicate")
    assert f"`{path}:2`" in found["message"]


def test_rows_that_are_nearly_alike_are_counted(call: Call, tmp_path: Path) -> None:
    text = "The quick brown fox jumps over the lazy dog, and nobody knows why it does so."
    rows = [{"instruction": "Why?", "output": text}, {"instruction": "why", "output": text + "!!"}]
    out, _ = call("data", "check", write(tmp_path / "rows.jsonl", *rows, *LONG))
    assert "1 row is nearly an earlier one" in out
    assert "rows.jsonl:2 is like" in " ".join(out.split())


def test_of_several_files_a_missing_one_is_a_problem_among_others(
    call: Call, tmp_path: Path
) -> None:
    there = write(tmp_path / "there.jsonl", {"instruction": "a"})
    missing = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    out, _ = call("data", "check", *missing, there, "--json", status=1)
    found = [(one["file"], one["problem"]) for one in objects(out)]
    not_there = [(str(path), "missing_file") for path in missing]
    assert found == [*not_there, (str(there), "missing_column")]


@pytest.mark.parametrize("name", ["row.jsonl", "*.csv", "alpaca_gpt4_hz", "lima"])
def test_a_missing_file_alone_is_an_object_for_programs_too(
    name: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a sentence for people, who get no table of no rows."""
    monkeypatch.setattr("tuneglm.hub._answers", lambda hub: False)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "rows.jsonl", *LONG)
    out, error = call("data", "check", name, "--json", status=2)
    (found,) = objects(out)
    assert (found["file"], found["line"], found["problem"]) == (name, 1, "missing_file")
    assert f"Error: {found['message']}." in error and found["remedy"] in error
    assert call("data", "check", name, status=2) == ("", error)


def test_a_file_that_is_given_twice_is_told_of(call: Call, tmp_path: Path) -> None:
    """Once in a check, and in a run; what is only named in two ways is the same file."""
    path, run = write(tmp_path / "rows.jsonl", *LONG), (MODEL, "training.max_steps=1")
    (note,) = objects(call("data", "check", path, path, "--json")[0])
    assert (note["file"], note["line"], note["problem"]) == (str(path), 1, "given_twice")
    assert "this row and 3 more" in note["message"] and not note["fails"]
    (note,) = objects(call("data", "check", path, tmp_path / "*.jsonl", "--json")[0])
    assert note["problem"] == "given_twice"
    parts = f"data.train=[{{path: {path}, kinds: [a]}}, {{path: {path}, kinds: [b]}}]"
    write(path, *({**row, "kind": kind} for row, kind in zip(LONG, "abab", strict=True)))
    assert not call("data", "check", parts, "--json")[0]
    output = f"training.output_dir={tmp_path / 'out'}"
    out, _ = call("train", *run, f"data.train=[{path},{path}]", output)
    assert "stands in data.train more than once" in " ".join(out.split())
    assert "8 rows" in " ".join(out.split())


def test_what_is_trained_on_and_evaluated_with_is_told_of(call: Call, tmp_path: Path) -> None:
    """In the words of a run, where nothing is left to train on."""
    path, one = write(tmp_path / "rows.jsonl", *LONG), write(tmp_path / "one.jsonl", LONG[0])
    both = (f"data.train={path}", f"data.evaluation=[{{path: {path}, max_rows: 1}}]")
    (note,) = objects(call("data", "check", *both, "--json")[0])
    assert note["problem"] == "given_twice" and "does not train on them" in note["message"]
    both = (f"data.train={path}", f"data.evaluation={path}")
    found = objects(call("data", "check", *both, "--json", status=1)[0])
    assert [each["problem"] for each in found] == ["given_twice", "no_rows"]
    _, error = call("train", *both, MODEL, f"training.output_dir={tmp_path / 'out'}", status=2)
    assert error.split(".")[1].split(" is ")[0].lower() in found[1]["message"].lower()
    others = (f"data.train={one}", f"data.evaluation={path}")
    assert "no_rows" in call("data", "check", *others, "--json", status=1)[0]
    # said of the first set that has rows
    empty = write(tmp_path / "empty.jsonl", {**LONG[0], "output": ""})
    others = (f"data.train=[{empty},{one}]", f"data.evaluation={path}")
    found = objects(call("data", "check", *others, "--json", status=1)[0])
    (none_left,) = [each for each in found if each["problem"] == "no_rows"]
    assert none_left["file"] == str(one)


def test_the_rows_of_an_identity_are_looked_at_once(call: Call, tmp_path: Path) -> None:
    """However many sets stand beside them."""
    identity = ("data.identity.name=Zeta", "data.identity.author=Omega", f"data.dir={tmp_path}")
    alone, _ = call("data", "check", *identity, "data.identity.languages=en")
    rows = int(alone.split("rows:")[0].split()[-1].replace(",", ""))
    assert rows > 500
    sets = [write(tmp_path / f"{name}.jsonl", {**LONG[0], "input": name}) for name in "ab"]
    words = (*identity, "data.identity.languages=en")
    out, _ = call("data", "check", f"data.train=[{sets[0]},{sets[1]}]", *words)
    assert f"{rows + 2:,} rows: {rows + 2:,} without a problem" in out


def test_a_list_of_sets_is_given_once(call: Call, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", *LONG)
    for key in ("data.train", "data.evaluation"):
        _, error = call("data", "check", f"{key}={path}", f"{key}=b.jsonl", status=2)
        assert f"`{key}` is given twice" in error and f"{key}=[A, B]" in error
    _, error = call("data", "check", "data.train=[]", status=2)
    assert "There is nothing to train on: `data.train` is empty." in error


def test_names_that_wait_to_be_filled(call: Call, tmp_path: Path) -> None:
    """Known by what the rows hold; one that few rows hold is what somebody wrote."""
    rows = [{**row, "output": f"I am <NAME> of [AUTHOR], {row['output']}"} for row in LONG]
    path = write(tmp_path / "rows.jsonl", *rows)
    (note,) = objects(call("data", "check", path, "--json")[0])
    assert (note["line"], note["problem"]) == (1, "placeholder")
    assert "`<NAME>` in 4 rows and `[AUTHOR]` in 4 rows" in note["message"]
    replace = 'replace: {"<NAME>": TEXT, "[AUTHOR]": TEXT}'
    assert replace in note["remedy"]
    filled = f"data.train=[{{path: {path}, {replace}}}]"
    assert not call("data", "check", filled, "--json")[0]
    others = [{"instruction": f"{n} and {n}?", "output": str(2 * n)} for n in range(60)]
    few = write(tmp_path / "few.jsonl", *rows, *others)
    assert not call("data", "check", few, "--json")[0]


def test_a_file_of_another_kind_is_not_written_over(call: Call, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", *LONG)
    for words in (("check", path, "--png", path), ("show", path, "--html", path)):
        _, error = call("data", *words, MODEL, status=2)
        assert f"does not write into `{path}`" in error
    assert len(path.read_bytes().splitlines()) == len(LONG)


def test_what_is_asked_for_and_is_not_there(call: Call, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", *LONG)
    for words, said in (
        ([tmp_path / "row.jsonl"], "did you mean"),
        (["alpaca_gpt4_hz"], "alpaca_gpt4_zh"),
        ([path, "data.trian=x"], "data.train"),
        ([path, f"data.train={path}"], "Both"),
        ([tmp_path / "run.yaml"], "no run file"),
        ([], "nothing to do"),
    ):
        _, error = call("data", "check", *words, status=2)
        assert said in error, words


def test_a_run_file_will_do(call: Call, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", *LONG)
    held = write(tmp_path / "held.jsonl", *({**row, "instruction": "?"} for row in LONG))
    run = tmp_path / "run.yaml"
    run.write_text(f"data:\n  train: {path}\n  evaluation: {held}\nmethod: lora\n")
    out, _ = call("data", "check", run)
    assert "8 rows" in out
    (train, _) = objects(call("data", "stats", run, "--json")[0])
    assert train["rows"] == 4 and train["tokens"] is None


def test_without_a_model_nothing_waits_for_torch(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", *LONG)
    program = (
        "import sys\n"
        "from tuneglm.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as left: assert left.code == 0\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    for command in ("check", "stats"):
        words = [sys.executable, "-c", program, "data", command, str(path)]
        subprocess.run(words, capture_output=True, check=True)


STATS = [
    {"instruction": "你是谁？", "output": "我是星河，北斗实验室的助手。", "kind": "identity"},
    {
        "instruction": "Who are you?",
        "output": "I am a helper made by a laboratory.",
        "kind": "identity",
    },
    {
        "instruction": "翻译成英文：我喜欢在早上喝一杯热咖啡",
        "output": "I like a cup of hot coffee in the morning",
    },
    {"instruction": "3+4=", "output": "7"},
    {"instruction": "a", "output": "b", "history": [["c", "d"], ["e", "f"]]},
    {"instruction": "no answer"},
]


def test_stats_of_a_set(call: Call, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", *STATS)
    (found,) = objects(call("data", "stats", path, MODEL, "--json")[0])
    assert (found["name"], found["rows"], found["unusable"]) == ("rows.jsonl", 5, 1)
    assert found["languages"] == {"zh": 1, "en": 2, "mixed": 1, "other": 1}
    assert (found["turns"], found["most_turns"]) == (14, 6)
    assert found["kinds"] == {"identity": 2}
    shown = objects(call("data", "show", path, MODEL, "--rows", 5, "--json")[0])
    assert found["tokens"] == sum(row["tokens"] for row in shown)
    assert found["trained_tokens"] == sum(row["trained_tokens"] for row in shown)
    (cut,) = objects(call("data", "stats", path, MODEL, "data.cutoff=24", "--json")[0])
    shown = objects(call("data", "show", path, MODEL, "data.cutoff=24", "--rows", 5, "--json")[0])
    assert (found["cut"], cut["cut"]) == (0, sum(row["cut"] for row in shown))
    assert cut["cut"] > 0 and cut["tokens"] < found["tokens"]
    assert "cutoff" in call("data", "stats", path, MODEL, "data.cutoff=24")[0]
    out, _ = call("data", "stats", path)
    assert "identity 2" in out and "unusable" in out and "tokens" not in out


def test_the_identity_goes_into_the_folder_of_data(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "sets"
    call("data", "identity", "--name", "星河", "--author", "北斗实验室", "--dir", folder)
    assert (folder / "identity.json").is_file()
    assert "identity 1,574" in call("data", "stats", "identity", f"data.dir={folder}")[0]
    rows = [folder / name for name in ("identity.json", "identity_others.json")]
    assert "3,335 rows: 3,335 without a problem" in call("data", "check", *rows)[0]


def test_the_line_on_training_names_the_rows_that_were_written(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "sets"
    out, _ = call("data", "identity", "--name", "Zeta", "--author", "Omega", "--dir", folder)
    assert f"{{path: {folder / 'identity.json'}, share: 0.05}}" in out


@pytest.mark.parametrize("name", ["<|user|>", "two\nlines", "<NAME>", "{{name}}"])
def test_what_is_no_name_is_refused(call: Call, tmp_path: Path, name: str) -> None:
    words = ("--name", name, "--author", "Omega", "--dir", tmp_path / "sets")
    assert "a name is one line without" in call("data", "identity", *words, status=2)[1]


def test_every_broken_file_of_a_folder_is_found(call: Call, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"instruction": "a", "output": "b"}, {"instr', "utf-8")
    (tmp_path / "b.json").write_text('[{"instruction": "c", "output": "d"} x', "utf-8")
    (tmp_path / "c.jsonl").write_text('{"instruction": "e", "output": "f"}\n', "utf-8")
    (tmp_path / "d.jsonl").write_text('{"instruction": "g", "output": ""}\n', "utf-8")
    found = objects(call("data", "check", tmp_path, "--json", status=1)[0])
    assert [Path(each["file"]).name for each in found] == ["d.jsonl", "a.json", "b.json"]


def test_a_file_of_a_folder_that_calls_its_columns_otherwise_is_named(
    call: Call, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("instruction,output\na,b\n", "utf-8")
    (tmp_path / "b.csv").write_text("问题,回答\na,b\n", "utf-8")
    out, error = call("data", "check", tmp_path, status=1)
    assert "b.csv` has other names for its columns" in out + error


def test_rows_of_the_first_set_are_shown_under_its_name(call: Call, tmp_path: Path) -> None:
    first = write(tmp_path / "one.jsonl", {"instruction": "a", "output": "b"})
    second = write(tmp_path / "two.jsonl", {"instruction": "c", "output": "d"})
    shown = objects(call("data", "show", first, second, MODEL, "--json")[0])
    assert [each["set"] for each in shown] == ["one.jsonl"]


def test_a_reader_who_has_gone_is_no_success(tmp_path: Path) -> None:
    """`data check | head`, where a script asks how the check went."""
    path = write(tmp_path / "rows.jsonl", *[{"instruction": "no answer", "output": ""}] * 20_000)
    command = [sys.executable, "-m", "tuneglm", "data", "check", str(path), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 141


def test_show_one_row_of_one_set(call: Call, tmp_path: Path) -> None:
    first = write(tmp_path / "first.jsonl", *LONG)
    second = write(tmp_path / "second.jsonl", *STATS)
    settings = (first, second, MODEL)
    (row,) = objects(call("data", "show", *settings, "--row", 3, "--json")[0])
    assert (row["set"], row["line"]) == ("first.jsonl", 3)
    assert "".join(p["text"] for p in row["pieces"] if p["trained"]).lstrip().startswith("seven")
    (row,) = objects(call("data", "show", *settings, "--set", "second", "--row", 1, "--json")[0])
    assert row["file"] == str(second)
    _, error = call("data", "show", *settings, "--row", 5, status=2)
    assert "it has 4 rows" in error
    _, error = call("data", "show", *settings, "--set", "secnd", status=2)
    assert "did you mean `second.jsonl`?" in error
    _, error = call("data", "show", *settings, "--set", "second", "--row", 6, status=2)
    assert f"`{second}:6`: the answer is missing" in error


def test_show_as_a_page(call: Call, tmp_path: Path) -> None:
    """Whatever a row holds is text there."""
    row = {"instruction": "<script>alert('&')</script>", "output": "<b>bold</b>"}
    page = tmp_path / "rows.html"
    call("data", "show", write(tmp_path / "rows.jsonl", row), MODEL, "--html", page)
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text and "<b>" not in text
    assert "&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;" in text
    assert '<span class="trained">&lt;b&gt;bold&lt;/b&gt;</span>' in text
    assert "http" not in text


def test_show_reads_no_more_than_it_shows(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "rows.jsonl", *({**LONG[0], "input": str(n)} for n in range(30_000)))
    blocks: list[bytes] = []
    from tuneglm.data.text_blocks import TextBlocks

    whole_lines = TextBlocks.whole_lines

    def counted(self: TextBlocks) -> Any:
        for block in whole_lines(self):
            blocks.append(block)
            yield block

    monkeypatch.setattr(TextBlocks, "whole_lines", counted)
    call("data", "show", path, MODEL, "--rows", 3)
    assert sum(map(len, blocks)) < path.stat().st_size


def test_the_words_of_problems_are_in_one_table() -> None:
    assert set(DOUBT_BITS) == set(DOUBTS)
    assert {word for word, _ in FAULTS} <= set(PROBLEMS)
    assert all(word == word.lower() and " " not in word for word in PROBLEMS)


def test_a_broken_row_of_a_list_hides_no_other(call: Call, tmp_path: Path) -> None:
    """Though it is among the rows by which the format is found."""
    rows = [good(number).decode() for number in range(5)]
    rows[1], rows[3] = '{"instruction": "a, "output": "b"}', '{"instruction": "a", "output": ""}'
    (tmp_path / "rows.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")
    out, _ = call("data", "check", tmp_path / "rows.json", "--json", status=1)
    found = [(one["line"], one["problem"]) for one in objects(out)]
    assert found == [(3, "bad_json"), (5, "empty_answer")]


def test_a_misspelt_column_is_said_once_a_row_and_with_what_there_is(
    call: Call, tmp_path: Path
) -> None:
    path = write(tmp_path / "faq.jsonl", *({"ask": "q?", "reply": "a!"} for _ in range(2)))
    entry = f"data.train=[{{path: {path}, columns: {{instruction: ask, output: replay}}}}]"
    out, _ = call("data", "check", entry, "--json", status=1)
    assert [(one["line"], one["problem"]) for one in objects(out)] == [
        (1, "missing_column"),
        (2, "missing_column"),
    ]
    entry = f"data.train=[{{path: {path}, columns: {{question: ask, output: reply}}}}]"
    _, error = call("data", "check", entry, status=2)
    assert "did you mean `instruction`?" in error


def test_rows_inside_an_object_are_told_of(call: Call, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", {"data": [{"instruction": "q", "output": "a"}]})
    out, _ = call("data", "check", path, status=1)
    assert "the list under `data` alone should be the file" in " ".join(out.split())


def test_a_file_where_encoded_rows_should_be_kept_is_one_sentence(
    call: Call, tmp_path: Path
) -> None:
    rows = ({"instruction": f"{i}?", "output": "a"} for i in range(4200))
    path = write(tmp_path / "rows.jsonl", *rows)
    run = (MODEL, f"data.train={path}", f"data.cache={path}", "training.max_steps=1")
    _, error = call("train", *run, f"training.output_dir={tmp_path / 'out'}", status=2)
    assert "Encoded rows cannot be kept" in error and "data.cache=FOLDER" in error


def test_a_folder_that_may_not_be_entered_is_named_itself(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none of the files that might be in it."""
    write(tmp_path / "run.yaml", LONG[0])
    monkeypatch.setattr(os, "access", lambda *_: False)
    _, error = call("data", "check", tmp_path, status=2)
    assert f"`{tmp_path}` cannot be read: Permission denied" in error


@pytest.mark.parametrize("words", [[""], ["data.train=['']"]])
def test_an_empty_name_is_not_the_folder_where_one_is(words: list[str], call: Call) -> None:
    _, error = call("data", "check", *words, status=2)
    assert "empty" in error


def test_what_may_not_be_read_is_one_sentence(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is asked for: here a folder that may not be entered."""

    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    _, error = call("data", "check", tmp_path / "rows.jsonl", status=2)
    assert "Permission denied" in error and "chmod" in error and "Traceback" not in error
