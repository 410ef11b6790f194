"""Rows that are read, encoded and shuffled as a run goes on."""

import gzip
import json
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests import letters
from tuneglm.data import fingerprint
from tuneglm.data.cutoff import Rule
from tuneglm.data.encode import Encoder
from tuneglm.data.examples import load_examples
from tuneglm.data.pipeline import EncodedData, encode_data
from tuneglm.data.stream import Stream, StreamedRows, StreamedSet
from tuneglm.data_config import DataConfig
from tuneglm.errors import DataError

ENCODER = Encoder(letters.render, Rule(), "letters")


def write(folder: Path, name: str, count: int) -> str:
    path = folder / f"{name}.jsonl"
    rows = [{"instruction": f"{name}{number}", "output": "x"} for number in range(count)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def stream(*entries: Any, buffer: int = 50) -> Stream:
    sets = load_examples(DataConfig.model_validate({"train": list(entries)})).train
    return Stream(sets, ENCODER, seed=0, buffer=buffer, bad_rows="stop")


def texts(rows: Any) -> list[str]:
    return [letters.text_of(row)[:-1] for row in rows]


def test_every_row_comes_once_in_an_order_of_the_seed_and_the_epoch(tmp_path: Path) -> None:
    wanted = stream(write(tmp_path, "a", 300), write(tmp_path, "b", 100))
    rows = StreamedRows(wanted)
    first = texts(rows.one_pass(0))
    assert sorted(first) == sorted([f"a{i}" for i in range(300)] + [f"b{i}" for i in range(100)])
    again = texts(rows.one_pass(1))
    assert first != again and sorted(first) == sorted(again)
    assert texts(islice(rows, 800)) == first + again
    assert first != texts(StreamedRows(replace(wanted, seed=1)).one_pass(0))


def test_a_buffer_of_one_keeps_a_files_order(tmp_path: Path) -> None:
    rows = StreamedRows(stream(write(tmp_path, "a", 99), buffer=1))
    assert texts(rows.one_pass(0)) == [f"a{i}" for i in range(99)]


def test_sets_are_mixed_all_along(tmp_path: Path) -> None:
    wanted = stream(write(tmp_path, "a", 900), write(tmp_path, "b", 300))
    rows = texts(StreamedRows(wanted).one_pass(0))
    for part in (rows[:400], rows[400:800], rows[800:1150]):
        assert 0.1 < sum(text.startswith("b") for text in part) / len(part) < 0.45


def test_a_set_with_a_share_begins_again_until_the_others_end(tmp_path: Path) -> None:
    entry = {"path": write(tmp_path, "b", 5), "share": 0.2}
    wanted = stream(write(tmp_path, "a", 400), entry)
    counts = Counter(texts(StreamedRows(wanted).one_pass(0)))
    often = [counts[f"b{i}"] for i in range(5)]
    assert 60 < sum(often) < 140 and max(often) - min(often) <= 2
    assert all(counts[f"a{i}"] == 1 for i in range(400))
    with pytest.raises(DataError, match="nothing to other sets"):
        next(iter(StreamedRows(stream(entry))))


def test_packs_hold_every_row_once_and_no_more_than_they_can(tmp_path: Path) -> None:
    wanted = replace(stream(write(tmp_path, "a", 500)), capacity=64)
    packs = list(StreamedRows(wanted).one_pass(0))
    assert sorted(texts(row for pack in packs for row in pack)) == sorted(
        f"a{i}" for i in range(500)
    )
    filled = [sum(row.length for row in pack) for pack in packs]
    assert max(filled) <= 64 and sum(filled) / (64 * len(packs)) > 0.9


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a", 3000)
    with Path(path).open("a") as file:
        file.write("no row\n")
    rows = StreamedRows(stream(path))
    assert len(list(islice(rows, 500))) == 500
    with pytest.raises(DataError, match=r"a\.jsonl:3001"):
        list(rows.one_pass(0))


def test_a_set_without_a_row_to_train_is_told(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text(json.dumps({"instruction": "q" * 2000, "output": "a"}) + "\n")
    wanted = replace(stream(str(path)), encoder=Encoder(letters.render, Rule(16, "drop"), ""))
    with pytest.raises(DataError, match="left to train on: 1 are too long"):
        next(iter(StreamedRows(wanted)))


def test_with_weights_a_pass_keeps_the_proportion(tmp_path: Path) -> None:
    first, second = write(tmp_path, "a", 400), write(tmp_path, "b", 400)
    entries = [{"path": first, "weight": 1}, {"path": second, "weight": 3}]
    rows = texts(StreamedRows(stream(*entries)).one_pass(0))
    counts = Counter(text[0] for text in rows)
    assert counts["b"] == 400 and 90 < counts["a"] < 180


def load(folder: Path, *entries: Any, **data: Any) -> EncodedData:
    settings = {"train": list(entries), "cache": str(folder / "cache"), **data}
    config = DataConfig.model_validate(settings)
    return encode_data(load_examples(config), ENCODER, config)


def streamed(folder: Path, *entries: Any, **data: Any) -> tuple[StreamedSet, list[str]]:
    """A stream and what is told of it at the start of a run."""
    encoded = load(folder, *entries, streaming=True, **data)
    assert isinstance(encoded.train, StreamedSet)
    return encoded.train, list(encoded.notes)


def lines(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return str(path)


def test_rows_that_are_evaluated_with_are_left_out_and_told_of(tmp_path: Path) -> None:
    """At the start those among the first rows, at the end all of them."""
    path, held = write(tmp_path, "a", 3000), tmp_path / "held.jsonl"
    everything = Path(path).read_text().splitlines()
    held.write_text("\n".join([*everything[:10], *everything[2000:2500]]))
    train, notes = streamed(tmp_path, path, evaluation=[str(held)])
    expected = [f"a{i}" for i in range(3000) if i not in {*range(10), *range(2000, 2500)}]
    assert sorted(texts(train.rows.one_pass(0))) == sorted(expected)
    assert notes == [
        "Not trained on, since data.evaluation has them too: 10 rows of the 1,024 read so far."
    ]
    assert any("510 rows of the 3,000 read so far" in note for note in train.notes())
    list(train.rows.one_pass(1))  # which is counted once
    assert any("510 rows of the 3,000 read so far" in note for note in train.notes())
    with pytest.raises(DataError, match=r"3,000 are in data\.evaluation too"):
        streamed(tmp_path, path, evaluation=[path])


def test_a_column_that_no_row_has_is_refused(tmp_path: Path) -> None:
    entry = {"path": write(tmp_path, "a", 12), "columns": {"input": "contxt"}}
    with pytest.raises(DataError, match=r"No row among the first 12 of .*`contxt`"):
        streamed(tmp_path, entry)


FAULTS: list[Any] = [
    {"instruction": "</s>", "output": "special"},
    {"instruction": "q", "output": "x" * 1_000_000},
    {"instruction": "q"},
    ["no row"],
]


def test_skip_leaves_out_the_rows_that_it_leaves_out_of_whole_sets(tmp_path: Path) -> None:
    rows = [{"instruction": f"q{number}", "output": "x"} for number in range(40)]
    path = lines(tmp_path / "rows.jsonl", [*rows[:20], *FAULTS, *rows[20:]])
    train, notes = streamed(tmp_path, path, bad_rows="skip")
    whole = load(tmp_path, path, bad_rows="skip")
    assert sorted(texts(train.rows.one_pass(0))) == sorted(texts(whole.train.rows))
    assert notes == [
        "2 rows of the 44 read so far are doubtful and left out (1 special_text, 1 large_row): "
        "`tuneglm data check` says which.",
        "Skipped, since they cannot be used: 2 rows of the 44 read so far; the first: "
        f"{whole.problems[0]}",
    ]


def test_copies_in_a_stream_are_not_looked_for(tmp_path: Path) -> None:
    path = lines(tmp_path / "rows.jsonl", [{"instruction": "q", "output": "x"}] * 3)
    train, notes = streamed(tmp_path, path, bad_rows="skip")
    assert len(list(train.rows.one_pass(0))) == 3 and not notes


def test_doubts_cuts_encodings_and_placeholders_are_told_of(tmp_path: Path) -> None:
    rows = [
        {"instruction": "<s>", "output": "x"},
        {"instruction": "name?", "output": "<NAME>"},
        {"instruction": "你好，请介绍一下自己", "output": "x" * 2000},
    ]
    path = tmp_path / "self_cognition.json"
    path.write_bytes(json.dumps(rows, ensure_ascii=False).encode("gbk"))
    _, notes = streamed(tmp_path, str(path))
    encoding, placeholder, doubt, cut = notes
    assert "is GBK" in encoding and "still holds `<NAME>` in 1 rows" in placeholder
    assert doubt.startswith("1 row of the 3 read so far is doubtful (1 special_text)")
    assert cut == "Cut to fit (data.cutoff): 1 row of the 3 read so far."


def test_what_each_set_is_to_give(tmp_path: Path) -> None:
    third = {"path": write(tmp_path, "c", 9), "share": 0.2}
    train, _ = streamed(tmp_path, write(tmp_path, "a", 900), write(tmp_path, "b", 300), third)
    shares = [each.share for each in train.sets]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.01)
    last = train.sets[-1]
    # two roles, `c0`, `x` and an end
    assert (last.name, last.tokens, last.trained_tokens) == ("c.jsonl", 6, 2)


def test_a_share_is_of_rows_however_many_bytes_they_take(tmp_path: Path) -> None:
    """Also of those that `max_rows` takes, and of files that are compressed."""
    large = Path(write(tmp_path, "a", 6000))
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(large.read_bytes()))
    long = lines(tmp_path / "c.jsonl", [{"instruction": "q" * 900, "output": "x"}] * 100)
    few = {"path": str(large), "max_rows": 3}
    train, _ = streamed(tmp_path, long, few)
    assert [each.share for each in train.sets] == pytest.approx([100 / 103, 3 / 103])
    assert not any(each.about for each in train.sets)
    train, _ = streamed(tmp_path, str(large), str(packed))
    assert [each.share for each in train.sets] == pytest.approx([0.5, 0.5], abs=0.05)
    assert all(each.about for each in train.sets)


def test_kinds_count_as_many_rows_as_they_take(tmp_path: Path) -> None:
    rows = [{"instruction": f"q{i}", "output": "x", "kind": "ab"[i % 3 > 0]} for i in range(9000)]
    path = lines(tmp_path / "kinds.jsonl", rows)
    some = {"path": path, "kinds": ["a"]}
    train, _ = streamed(tmp_path, path, some)
    assert [each.share for each in train.sets] == pytest.approx([0.75, 0.25], abs=0.02)


def test_too_few_rows_of_identity_are_told(tmp_path: Path) -> None:
    general, own = write(tmp_path, "a", 2000), tmp_path / "me.jsonl"
    rows = [{"instruction": f"me{i}", "output": "x", "kind": "identity"} for i in range(10)]
    lines(own, rows)
    _, (note,) = streamed(tmp_path, general, str(own))
    assert "`me.jsonl` is 0." in note and f"{{path: {own}, share: 0.05}}" in note
    assert not streamed(tmp_path, general, {"path": str(own), "share": 0.05})[1]


def changes() -> list[tuple[str, dict[str, Any]]]:
    return [
        ("seed", {"shuffle_seed": 7}),
        ("skip", {"bad_rows": "skip"}),
        ("evaluation", {"evaluation": "held.jsonl"}),
    ]


@pytest.mark.parametrize(("what", "settings"), changes(), ids=[name for name, _ in changes()])
def test_what_changes_the_rows_changes_the_fingerprint(
    what: str, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, "a", 20)
    lines(tmp_path / "held.jsonl", [{"instruction": "a1", "output": "x"}])
    first = streamed(tmp_path, path)[0].fingerprint
    assert streamed(tmp_path, path, **settings)[0].fingerprint != first, what


def test_the_fingerprint_goes_by_content_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(write(tmp_path, "a", 200))
    first = streamed(tmp_path, str(path))[0].fingerprint
    monkeypatch.chdir(tmp_path)
    assert streamed(tmp_path, "a.jsonl")[0].fingerprint == first
    path.write_text(path.read_text().replace("a123", "b123"))
    assert streamed(tmp_path, str(path))[0].fingerprint != first


def test_of_a_very_large_file_pieces_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "PIECE", 10)
    monkeypatch.setattr(fingerprint, "PIECES", 5)
    path = tmp_path / "file"

    def digest(content: bytes) -> str:
        path.write_bytes(content)
        return fingerprint.digest_of_file(path)

    first = digest(b"." * 1000)
    for change in (b"x" + b"." * 999, b"." * 999 + b"x", b"." * 1001):
        assert digest(change) != first
    assert digest(b"." * 50) != digest(b"." * 30 + b"x" + b"." * 19)
