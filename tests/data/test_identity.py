"""Identity sets: counts, form, and probes that share no wording with the rows."""

import pytest

from tuneglm.data.identity import bare_wording, identity_probes, identity_rows

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


def test_rows_depend_on_the_seed_alone() -> None:
    assert identity_rows("星河", "北斗", seed=3) == identity_rows("星河", "北斗", seed=3)
    assert identity_rows("星河", "北斗", seed=3) != identity_rows("星河", "北斗", seed=4)


def test_languages_are_chosen() -> None:
    questions = "".join(row["instruction"] for row in identity_rows("Aurora", "Northwind", ("en",)))
    assert "你是" not in questions


def test_bare_wording_drops_punctuation_case_and_space() -> None:
    assert bare_wording("Who are YOU？ ") == bare_wording("who, are you") == "whoareyou"
