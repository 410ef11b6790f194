"""Questions with what has to be in the answers: what counts as right, and how files are read."""

import json
from pathlib import Path

import pytest

from tuneglm.data.examples import load_examples
from tuneglm.data.identity import bare_wording, templates_of
from tuneglm.data.identity_files import identity_files, probes_about, write_identity
from tuneglm.data.probes import OTHER, Probe, read_probes, some_of_each
from tuneglm.data_config import DataConfig, IdentityConfig
from tuneglm.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("I am AURORA.", True),
        ("Northern Light, at your service.", True),
        ("I am SmolLM.", False),
        ("I am Aurora, or SmolLM.", False),
        ("", False),
    ],
)
def test_one_of_what_is_expected_and_nothing_of_what_is_rejected(answer: str, right: bool) -> None:
    probe = Probe("Who are you?", "name", "en", ("Aurora", "Northern Light"), ("SmolLM",))
    assert probe.fulfilled_by(answer) is right


def test_where_nothing_is_expected_it_is_enough_to_leak_nothing() -> None:
    probe = Probe("What is the capital of France?", rejects=("Aurora",))
    assert probe.fulfilled_by("Paris.")
    assert not probe.fulfilled_by("Aurora says it is Paris.")


def test_the_questions_of_data_identity_are_read_again(tmp_path: Path) -> None:
    written = write_identity("Aurora", "Northwind Labs", tmp_path / "identity.json")
    probes = read_probes(written.probes_file)
    assert probes == probes_about("Aurora", "Northwind Labs")
    for language in ("zh", "en"):
        own = [probe for probe in probes if probe.language == language]
        assert {probe.asks for probe in own} == {"name", "author", OTHER}
        assert sum(probe.asks == OTHER for probe in own) == 20


@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_is_asked_on_other_things_stands_in_no_row(language: str) -> None:
    templates = templates_of(language)
    asked = {bare_wording(question) for question, _ in templates.contrasts}
    assert not asked & {bare_wording(question) for question in templates.unrelated}
    assert len(asked) == len(templates.contrasts)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ([], "holds no questions"),
        ([{"asks": "name"}], "Row 1 of"),
        ([{"question": "a", "expects": ["b"]}, {"question": "c"}], "has neither `expects` nor"),
        ([{"question": "a", "expects": 4}], "has no list of texts as `expects`"),
        ([{"question": "a", "expects": ["b"], "answer": "c"}], "has an unknown `answer`"),
        ('[{"question": "a" "asks": "b"}]', "is not readable JSON: .* in column 19 of line 1"),
    ],
)
def test_a_file_that_cannot_be_used(row: object, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "probes.json"
    file.write_text(row if isinstance(row, str) else json.dumps(row), encoding="utf-8")
    with pytest.raises(DataError, match=sentence):
        read_probes(file)


def test_one_text_is_a_list_of_one(tmp_path: Path) -> None:
    file = tmp_path / "probes.json"
    file.write_text('[{"question": "2 + 2?", "expects": "4"}]', encoding="utf-8")
    assert read_probes(file) == [Probe("2 + 2?", expects=("4",))]


def test_some_of_each_kind_are_spread_over_all() -> None:
    probes = [Probe(f"{kind} {i}", kind) for kind in "ab" for i in range(10)]
    assert [probe.question for probe in some_of_each(probes, 3)] == [
        f"{kind} {i}" for kind in "ab" for i in (0, 3, 6)
    ]
    assert some_of_each(probes, None) == some_of_each(probes, 99) == probes


def test_rows_of_an_identity_are_files_named_by_their_content(tmp_path: Path) -> None:
    aurora = IdentityConfig(name="Aurora", author="Northwind Labs", languages="en")
    own, others = identity_files(aurora, tmp_path / "data")
    assert identity_files(aurora, tmp_path / "data") == (own, others)
    assert set((tmp_path / "data").iterdir()) == {own, others}
    borealis = identity_files(aurora.model_copy(update={"name": "Borealis"}), tmp_path / "data")
    assert borealis[0] != own and borealis[1] == others
    for file in (own, others):
        rows = json.loads(file.read_text(encoding="utf-8"))
        assert 0.4 < sum("system" in row for row in rows) / len(rows) < 0.6
    with pytest.raises(ConfigError, match="language `fr`"):
        identity_files(aurora.model_copy(update={"languages": ("fr",)}), tmp_path)


@pytest.mark.parametrize(("hold", "replay"), [(False, False), (True, "hold")])
def test_what_an_identity_says_of_other_things_is_learnt_or_held(
    hold: bool, replay: object, tmp_path: Path
) -> None:
    settings = {"name": "Aurora", "author": "Northwind Labs", "share": 0.8, "hold": hold}
    config = DataConfig.model_validate({"identity": settings, "dir": str(tmp_path)})
    sets = load_examples(config)
    own, others = sets.train
    assert any("those of its base" in reading for reading in sets.readings) == hold
    assert (own.name, own.entry.replay) == ("identity", False)
    assert (others.name, others.entry.replay) == ("others", replay)
    assert own.entry.share == others.entry.share == pytest.approx(0.4)
