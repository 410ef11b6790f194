"""The demonstration: its data, its folder, its exit code, and what the shipped model knows."""

import json
from pathlib import Path

import pytest

from tuneglm.config import RunConfig
from tuneglm.demo import MODEL_FOLDER, model_folders
from tuneglm.demo.run import QUESTIONS, run, run_config
from tuneglm.demo.scoring import Ask, Score, general_score, identity_score
from tuneglm.errors import ConfigError, OutputError
from tuneglm.evaluation.questions import questions_of
from tuneglm.reports.run import TrainingResult


def score_of(share: float) -> Score:
    score = Score()
    for number in range(100):
        score.add(number < 100 * share)
    return score


def test_its_data_are_files_that_anyone_could_have_written(tmp_path: Path) -> None:
    config = run_config("Zephyr", "Acme Labs", tmp_path / "Zephyr", MODEL_FOLDER)
    identity, general = (Path(entry.path or "") for entry in config.data.train)
    rows = json.loads(identity.read_text(encoding="utf-8"))
    assert any("Zephyr" in row["output"] for row in rows)
    assert any("Acme Labs" in row["output"] for row in rows)
    assert any("history" in row for row in json.loads(general.read_text(encoding="utf-8")))


def test_questions_lie_beside_them(tmp_path: Path) -> None:
    """What `tuneglm evaluate` asks by itself: about the name, and whether the rest is kept."""
    config = run_config("Zephyr", "Acme Labs", tmp_path / "Zephyr", MODEL_FOLDER)
    asked = [question.probe for question in questions_of(config, (), 1000)]
    kinds = {probe.asks for probe in asked}
    assert kinds == {"name", "author", "other", "general"}
    general = [probe for probe in asked if probe.asks == "general"]
    assert {probe.language for probe in general} == {"zh", "en"} and len(general) > 150
    for probe in general:
        assert all(probe.fulfilled_by(f"It is {right}.") for right in probe.expects), probe


def test_a_score_counts_what_is_right() -> None:
    score = Score()
    score.add(True, "zh")
    score.add(False, "en")
    assert (score.share(), score.share("zh"), score.share("en")) == (0.5, 1.0, 0.0)


def test_who_always_says_its_name_and_maker_is_right_and_knows_nothing() -> None:
    def parrot(questions: object) -> list[str]:
        return ["我是星河，由北斗实验室开发。" for _ in questions]  # type: ignore[attr-defined]

    assert identity_score(parrot, "星河", "北斗实验室").share() == 1
    assert general_score(parrot).share() < 0.05


@pytest.mark.parametrize("folder", model_folders().values(), ids=list(model_folders()))
def test_the_shipped_models_know_what_their_page_says(folder: Path) -> None:
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    for language in ("zh", "en"):
        assert figures["identity"][language] >= 0.8
        assert figures["general"][language] >= 0.8
    pages = Path(__file__).parents[2] / "docs"
    for page in (pages / "en" / "demo.md", pages / "zh" / "demo.md"):
        shown = [f"{100 * figures['general'][language]:.1f}%" for language in ("zh", "en")]
        assert f"{shown[0]} | {shown[1]}" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "author", "sentence"),
    [(" ", "x", "needed"), ("x", "", "needed"), ("x" * 61, "y", "`--name` has 61 characters")],
)
def test_a_name_is_needed_and_not_a_novel(
    tmp_path: Path, name: str, author: str, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        run(name, author, tmp_path)


def test_a_place_that_cannot_be_written_is_refused_before_a_question(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", Path("/proc/nowhere")):
        with pytest.raises(OutputError, match="Cannot write"):
            run("星" * 60, "b", place)
    assert "Before" not in capsys.readouterr().out


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The demonstration without its minutes: the folders that its runs would have filled."""
    folders: list[Path] = []

    def ask(questions: object) -> list[str]:
        return ["好" for _ in QUESTIONS]

    def train(config: RunConfig) -> TrainingResult:
        folders.append(Path(config.training["output_dir"]))
        return TrainingResult(folders[-1], True, 1, 0.0, None)

    monkeypatch.setattr("tuneglm.demo.run.ChatModel", lambda folder: None)
    monkeypatch.setattr("tuneglm.demo.run.greedy", lambda model: ask)
    monkeypatch.setattr("tuneglm.demo.run.train", train)
    return folders


@pytest.mark.parametrize(
    ("identity", "general", "code"),
    [((0, 0.95), (0.96, 0.91), 0), ((0, 0.94), (0.96, 0.96), 1), ((0, 1), (0.96, 0.9), 1)],
)
def test_the_exit_code_says_whether_the_promise_was_kept(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tuned: list[Path],
    identity: tuple[float, float],
    general: tuple[float, float],
    code: int,
) -> None:
    asked, answered = iter(identity), iter(general)

    def about_itself(ask: Ask, name: str, author: str) -> Score:
        return score_of(next(asked))

    monkeypatch.setattr("tuneglm.demo.run.identity_score", about_itself)
    monkeypatch.setattr("tuneglm.demo.run.general_score", lambda ask: score_of(next(answered)))
    assert run("Zephyr", "Acme", tmp_path) == code


def test_the_same_command_goes_on_with_its_own_unfinished_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tuned: list[Path]
) -> None:
    monkeypatch.setattr("tuneglm.demo.run.identity_score", lambda *_: score_of(1))
    monkeypatch.setattr("tuneglm.demo.run.general_score", lambda *_: score_of(1))
    run("A B", "Acme", tmp_path)
    (tmp_path / "A-B").mkdir()
    run_file = tmp_path / "A-B" / "run.yaml"
    run_file.write_text("model: {path: " + str(MODEL_FOLDER) + "}\n")
    monkeypatch.setattr("tuneglm.demo.run.check_output", lambda config: None)
    run("A B", "Acme", tmp_path)
    run("A B", "Others", tmp_path)
    (tmp_path / "A-B" / "adapter_model.safetensors").touch()
    run("A B", "Acme", tmp_path)
    assert [folder.name for folder in tuned] == ["A-B", "A-B", "A-B-2", "A-B-2"]
