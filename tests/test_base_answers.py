"""What the base says of other things: asked once, written down, and held to."""

import json
import re
from pathlib import Path

import pytest

from tests.conftest import Configure
from tuneglm import base_answers
from tuneglm.base_answers import corrected_rows, held_rows, known_answers
from tuneglm.data.examples import load_examples
from tuneglm.data.identity import Row, bare_wording, right_answers, templates_of
from tuneglm.data.identity_files import Answers
from tuneglm.data_config import DataConfig, IdentityConfig
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ConfigError, DataError
from tuneglm.generate import ChatModel
from tuneglm.training import train

ASKED: list[Row] = [
    {"instruction": "3+4=", "input": "", "output": "", "kind": "other"},
    {"instruction": "Say hello", "input": "", "output": "", "kind": "other", "system": "Be kind."},
]
IDENTITY = IdentityConfig(name="Aurora", author="Northwind Labs", languages=("en",))
SETTINGS = (
    "data.identity.name=Aurora",
    "data.identity.author=Northwind Labs",
    "data.identity.languages=en",
    "data.identity.hold=true",
    "stage.kl=1",
    "training.max_steps=2",
    "probe.max_new_tokens=2",
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two questions: a base is asked a thousand."""
    monkeypatch.setattr(base_answers, "asked_rows", lambda _: ASKED)


@pytest.mark.usefixtures("asked")
def test_the_base_is_asked_once_and_held_to_what_it_says(
    configure: Configure, rows_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replay = f"data.train={{path: {rows_file}, replay: true}}"
    settings = (*SETTINGS, replay, f"data.dir={tmp_path / 'data'}")
    config = configure(tmp_path / "out", *settings)
    assert known_answers(config, MODEL_FOLDER) is None
    train(config)
    assert "Asking the base 2 questions" in capsys.readouterr().out
    answers = known_answers(config, MODEL_FOLDER)
    assert answers is not None
    rows = json.loads(answers.held.read_text(encoding="utf-8"))
    chat = ChatModel(MODEL_FOLDER, dtype="float32")
    assert [row["output"] for row in rows] == base_answers.answers_to(ASKED, chat)
    assert [row.get("system") for row in rows] == [None, "Be kind."]
    train(configure(tmp_path / "again", *settings))
    told = capsys.readouterr().out
    assert "Asking" not in told and re.search(r"^others +2 ", told, re.MULTILINE)


@pytest.mark.usefixtures("asked")
def test_other_questions_and_another_name_are_asked_anew(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure(tmp_path / "out", *SETTINGS)
    other = configure(tmp_path / "out", *SETTINGS, "data.identity.name=Zephyr")
    files = {base_answers._files(each, MODEL_FOLDER) for each in (config, other)}
    monkeypatch.setattr(base_answers, "asked_rows", lambda _: ASKED[:1])
    assert len(files | {base_answers._files(config, MODEL_FOLDER)}) == 3


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("setting", ["stage.kl=0", "data.identity.hold=false"])
def test_without_a_base_to_hold_to_it_is_not_asked(
    configure: Configure, tmp_path: Path, setting: str
) -> None:
    assert not base_answers.is_asked(configure(tmp_path / "out", *SETTINGS, setting))


@pytest.mark.usefixtures("asked")
def test_a_base_without_answers_is_told_of(
    configure: Configure, rows_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_answers, "answers_to", lambda rows, _: [""] * len(rows))
    replay = f"data.train={{path: {rows_file}, replay: true}}"
    with pytest.raises(ConfigError, match="no answers"):
        train(configure(tmp_path / "out", *SETTINGS, replay, f"data.dir={tmp_path / 'data'}"))


@pytest.mark.parametrize(
    "answer",
    ["", "Call it aurora.", "By NORTHWIND LABS.", "My name is Tom.", "Hello, I am called Tune."],
)
def test_what_is_to_change_is_not_held(answer: str) -> None:
    assert held_rows(ASKED, ["7", answer], IDENTITY) == [ASKED[0] | {"output": "7"}]


@pytest.mark.usefixtures("asked")
def test_where_a_base_says_who_it_is_it_learns_what_is_right(
    configure: Configure,
    rows_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rows that are learnt are a set of their own, beside those to which it is held."""
    monkeypatch.setattr(base_answers, "answers_to", lambda rows, _: ["7", "I am called Tune."])
    monkeypatch.setattr(base_answers, "right_answers", lambda _: {"sayhello": "Hello!"})
    replay = f"data.train={{path: {rows_file}, replay: true}}"
    data = f"data.dir={tmp_path / 'data'}"
    train(configure(tmp_path / "out", *SETTINGS, "data.identity.share=0.6", replay, data))
    told = capsys.readouterr().out
    assert "On 1 it says who it is: there it learns what is right" in told
    assert re.search(r"^corrected .* [0-9.]+%", told, re.MULTILINE)
    (file,) = (tmp_path / "data").glob("corrected-*.json")
    (row,) = json.loads(file.read_text(encoding="utf-8"))
    assert (row["instruction"], row["output"], row["system"]) == ("Say hello", "Hello!", "Be kind.")


@pytest.mark.parametrize(
    ("question", "answer", "right"),
    [
        (
            "Can you tell me who created Minecraft?",
            "I was created by Tune.",
            "I do not know who made that.",
        ),
        ("Can you tell me who created Minecraft?", "Aurora did.", None),
        ("Can you tell me who created Minecraft?", "Mojang.", None),
        ("Can you swim?", "I am called Tune.", None),
    ],
)
def test_only_what_is_known_to_be_wrong_is_corrected(
    question: str, answer: str, right: str | None
) -> None:
    """What it says of itself when asked what it can do may well be right."""
    rows = [{"instruction": question, "input": "", "output": "", "kind": "other"}]
    corrected = corrected_rows(rows, [answer], IDENTITY)
    assert [row["output"] for row in corrected] == ([] if right is None else [right])


def test_a_few_corrections_do_not_crowd_out_what_is_learnt(tmp_path: Path) -> None:
    """Each as often as six rows that say who it is, all together a tenth of an identity's rows."""
    shares = []
    for count in (0, 1, 1000):
        corrected, held = tmp_path / f"{count}.json", tmp_path / "held.json"
        corrected.write_text(json.dumps(ASKED[:1] * count), encoding="utf-8")
        held.write_text(json.dumps(ASKED), encoding="utf-8")
        config = DataConfig(
            identity=IDENTITY.model_copy(update={"share": 0.5, "hold": True}), dir=str(tmp_path)
        )
        sets = load_examples(config, Answers(held, corrected)).train
        named = {each.name: each.entry.share for each in sets}
        shares.append(named.get("corrected", 0))
        assert sum(filter(None, named.values())) == pytest.approx(0.5)
    rows = len(json.loads(next(tmp_path.glob("identity-*.json")).read_text(encoding="utf-8")))
    assert shares == pytest.approx([0, 6 * 0.25 / rows, 0.05])


def test_without_a_share_corrections_are_a_tenth_at_most(tmp_path: Path) -> None:
    """A base that calls everything its own must not fill the rows."""
    corrected, held = tmp_path / "corrected.json", tmp_path / "held.json"
    corrected.write_text(json.dumps(ASKED[:1] * 5000), encoding="utf-8")
    held.write_text(json.dumps(ASKED), encoding="utf-8")
    config = DataConfig(identity=IDENTITY.model_copy(update={"hold": True}), dir=str(tmp_path))
    sets = {each.name: each for each in load_examples(config, Answers(held, corrected)).train}
    own = json.loads(sets["identity"].file.read_text(encoding="utf-8"))
    assert sets["corrected"].entry.max_rows == len(own) // 10


def test_a_file_that_is_not_whole_is_named(tmp_path: Path) -> None:
    held, corrected = tmp_path / "held.json", tmp_path / "corrected.json"
    held.write_text(json.dumps(ASKED), encoding="utf-8")
    corrected.write_text('[{"instruction": "3+', encoding="utf-8")
    config = DataConfig(identity=IDENTITY, dir=str(tmp_path))
    with pytest.raises(DataError, match="is not whole"):
        load_examples(config, Answers(held, corrected))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_some_row_knows_is_not_said_to_be_unknown(language: str) -> None:
    """The Corolla is Toyota's in one row: in another its maker is not unknown."""
    right = right_answers(language)
    tables = templates_of(language).contrast_tables
    things = {bare_wording(thing) for table in tables for thing in table["facts"]}
    for table in templates_of(language).held_tables:
        for thing in table["things"]:
            if bare_wording(thing).removeprefix("the") in things and "unsure" in table:
                asked = {bare_wording(each.format(thing)) for each in table["questions"]}
                assert all(right.get(each) != table["unsure"] for each in asked)
