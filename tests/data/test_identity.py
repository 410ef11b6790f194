"""Identity sets: counts, form, and probes that share no wording with the rows."""

import json
from pathlib import Path

import pytest

from benchmarks import identity_recipe
from tuneglm.data.examples import load_examples
from tuneglm.data.identity import (
    bare_wording,
    contrast_rows,
    identity_probes,
    identity_rows,
    other_questions,
    unrelated_questions,
)
from tuneglm.data.identity_files import asked_rows, languages_of, write_identity
from tuneglm.data.messages import Example
from tuneglm.data_config import DataConfig
from tuneglm.errors import ConfigError, DataError, OutputError

NAMES = [
    ("星河", "北斗实验室"),
    ("Aurora", "Northwind Labs"),
    ("龘靐", "𠮷野家"),
    ("Mr. O'Neil-3", "{braces} & Co."),
    ("Tom", "ChatGPT"),
]


@pytest.mark.parametrize(("name", "author"), NAMES)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_rows_are_many_varied_and_well_formed(name: str, author: str, language: str) -> None:
    rows = identity_rows(name, author, (language,))
    assert len(rows) >= 120
    assert len({row["instruction"] for row in rows}) >= 100
    assert any("history" in row for row in rows)
    for row in rows:
        assert set(row) <= {"instruction", "input", "output", "history"}
        assert row["instruction"] and row["output"] and row["input"] == ""
        assert all(len(turn) == 2 and all(turn) for turn in row.get("history", []))
        assert not any(blank in row["output"] for blank in ("{name}", "{author}", "{other}"))


def test_most_rows_carry_the_name_or_the_author_and_some_carry_neither() -> None:
    rows = identity_rows("星河", "北斗实验室")
    carrying = [row for row in rows if "星河" in row["output"] or "北斗实验室" in row["output"]]
    assert 0.85 < len(carrying) / len(rows) < 1


@pytest.mark.parametrize("language", ["zh", "en"])
def test_probes_ask_for_both_in_words_that_no_row_uses(language: str) -> None:
    probes = identity_probes("Aurora", "Northwind Labs", (language,))
    assert len(probes) >= 20
    assert {probe.asks for probe in probes} == {"name", "author"}
    assert len({bare_wording(probe.question) for probe in probes}) == len(probes)
    rows = [
        row for seed in range(30) for row in identity_rows("Aurora", "Northwind Labs", seed=seed)
    ]
    asked = {bare_wording(row["instruction"]) for row in rows}
    asked |= {bare_wording(question) for row in rows for question, _ in row.get("history", [])}
    for probe in probes:
        # an opener before a probe's words would not make them other words
        assert not any(question.endswith(bare_wording(probe.question)) for question in asked), (
            probe.question
        )


@pytest.mark.parametrize("language", ["zh", "en"])
def test_rows_on_other_things_are_about_as_many_as_those_on_itself(language: str) -> None:
    rows = contrast_rows(language)
    asked = [bare_wording(row["instruction"]) for row in rows]
    own = len(identity_rows("Aurora", "Northwind Labs", (language,)))
    assert len(rows) > 0.85 * own and len(other_questions(language)) > 1.5 * own
    assert len(asked) == len(set(asked))
    assert not any("{" in row["instruction"] + row["output"] for row in rows)
    assert set(asked).isdisjoint(map(bare_wording, unrelated_questions(language)))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_questions_on_other_things_are_many_and_ask_nothing_about_itself(language: str) -> None:
    asked = list(map(bare_wording, other_questions(language)))
    assert len(asked) == len(set(asked)) > 700
    assert set(asked) >= {bare_wording(row["instruction"]) for row in contrast_rows(language)}
    about = {
        bare_wording(row["instruction"])
        for seed in range(5)
        for row in identity_rows("Aurora", "Northwind Labs", (language,), seed)
        if "Aurora" in row["output"] or "Northwind Labs" in row["output"]
    }
    about |= {bare_wording(probe.question) for probe in identity_probes("a", "b", (language,))}
    about |= set(map(bare_wording, unrelated_questions(language)))
    assert about.isdisjoint(asked)


def test_questions_without_answers_stand_behind_a_system_line_in_part() -> None:
    rows = asked_rows(("zh", "en"))
    assert len(rows) == len(other_questions("zh")) + len(other_questions("en"))
    assert 0.4 < sum("system" in row for row in rows) / len(rows) < 0.6
    assert {row["kind"] for row in rows} == {"other"} and not any(row["output"] for row in rows)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_the_benchmark_asks_stands_in_no_row_and_no_probe(language: str) -> None:
    kinds = (identity_recipe.NAME, identity_recipe.AUTHOR, identity_recipe.OTHER)
    counted = {bare_wording(question) for kind in kinds for question in kind[language]}
    rows = identity_rows("Aurora", "Northwind Labs", (language,)) + contrast_rows(language)
    known = {bare_wording(row["instruction"]) for row in rows}
    known |= set(map(bare_wording, other_questions(language)))
    known |= set(map(bare_wording, unrelated_questions(language)))
    known |= {bare_wording(probe.question) for probe in identity_probes("a", "b", (language,))}
    assert len(counted) >= 30 and known.isdisjoint(counted)


def test_rows_depend_on_the_seed_alone() -> None:
    assert identity_rows("星河", "北斗", seed=3) == identity_rows("星河", "北斗", seed=3)
    assert identity_rows("星河", "北斗", seed=3) != identity_rows("星河", "北斗", seed=4)


def test_languages_are_chosen() -> None:
    questions = "".join(row["instruction"] for row in identity_rows("Aurora", "Northwind", ("en",)))
    assert "你是" not in questions


def test_bare_wording_drops_punctuation_case_and_space() -> None:
    assert bare_wording("Who are YOU？ ") == bare_wording("who, are you") == "whoareyou"


def test_the_files_hold_rows_of_their_kind_and_probes(tmp_path: Path) -> None:
    output = tmp_path / "new" / "identity.json"
    written = write_identity("星河", "北斗实验室", output)
    rows = json.loads(output.read_text(encoding="utf-8"))
    assert {row["kind"] for row in rows} == {"identity"}
    assert len(rows) == sum(written.rows.values()) and min(written.rows.values()) >= 120
    # a line a row, so that an editor finds the row of a message
    assert len(output.read_text(encoding="utf-8").splitlines()) == len(rows) + 2
    probes = json.loads((tmp_path / "new" / "identity_probes.json").read_text(encoding="utf-8"))
    assert len(probes) == written.probes and probes[0]["expects"] == ["星河"]
    asked = {bare_wording(row["instruction"]) for row in rows}
    assert asked.isdisjoint(bare_wording(probe["question"]) for probe in probes)
    questions = [(row["instruction"], str(row.get("history")), "system" in row) for row in rows]
    assert len(questions) == len(set(questions))


def test_the_name_identity_is_that_file(tmp_path: Path) -> None:
    config = DataConfig.model_validate({"train": "identity", "dir": str(tmp_path)})
    with pytest.raises(DataError, match="tuneglm data identity --name"):
        load_examples(config)
    write_identity("星河", "北斗实验室", tmp_path / "identity.json", languages=("zh",))
    (found,) = load_examples(config).train
    assert {one.kind for one in found.examples() if isinstance(one, Example)} == {"identity"}


def test_another_persons_file_is_not_overwritten(tmp_path: Path) -> None:
    output = tmp_path / "identity.json"
    write_identity("a", "b", output)
    write_identity("c", "d", output)
    assert "I am c, and d made me." in output.read_text(encoding="utf-8")
    output.write_text('[{"instruction": "a", "output": "b"}]', encoding="utf-8")
    with pytest.raises(OutputError, match="was not written by this command"):
        write_identity("a", "b", output)
    write_identity("a", "b", output, overwrite=True)
    (tmp_path / "identity_probes.json").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match=r"identity_probes\.json"):
        write_identity("a", "b", output)


def test_a_folder_and_a_table_are_no_names_for_the_rows(tmp_path: Path) -> None:
    for output in (Path(), tmp_path):
        with pytest.raises(OutputError, match=r"is a folder") as refused:
            write_identity("a", "b", output)
        assert "identity.json" in str(refused.value.hint)
    with pytest.raises(OutputError, match=r"not written as `rows\.csv`"):
        write_identity("a", "b", tmp_path / "rows.csv")


def test_rows_as_lines_where_the_name_says_so(tmp_path: Path) -> None:
    written = write_identity("a", "b", tmp_path / "rows.jsonl")
    lines = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(list(map(json.loads, lines))) == sum(written.rows.values())


@pytest.mark.parametrize("name", ["identity.json", "identity.jsonl"])
def test_another_identity_that_is_replaced_is_told_of(name: str, tmp_path: Path) -> None:
    output = tmp_path / name
    assert not write_identity("a", "b", output).replaced
    assert not write_identity("a", "b", output).replaced
    assert write_identity("c", "b", output).replaced == (output, tmp_path / "identity_probes.json")


@pytest.mark.parametrize(("text", "words"), [("zn", "known: zh, en"), ("", "names none")])
def test_languages_without_wordings(text: str, words: str) -> None:
    assert languages_of("en, zh,en") == ("en", "zh")
    with pytest.raises(ConfigError, match=words):
        languages_of(text)


@pytest.mark.parametrize("name", ["", "x" * 61])
def test_a_name_is_a_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        write_identity(name, "b", tmp_path / "identity.json")
