"""The second lesson: other things are not answered with who the model is, system lines or not."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tuneglm.config import ChatConfig
from tuneglm.data.identity import (
    LANGUAGES,
    bare_wording,
    identity_probes,
    unrelated_questions,
)
from tuneglm.demo import MODEL_FOLDER, build_model
from tuneglm.demo.build_model import weighted_mean
from tuneglm.demo.corpus import general_probes
from tuneglm.demo.curriculum import OWN_AUTHOR, OWN_NAMES, later_rows
from tuneglm.demo.other_things import other_rows
from tuneglm.demo.system_lines import system_line
from tuneglm.demo.training import Schedule
from tuneglm.generate import ChatModel

OWN = (*OWN_NAMES.values(), OWN_AUTHOR)


@pytest.mark.parametrize("language", LANGUAGES)
def test_other_things_are_answered_without_an_identity(language: str) -> None:
    rows = other_rows(language, random.Random(0))
    assert len(rows) > 2000
    for row in rows:
        assert "{" not in row["instruction"] + row["output"]
        assert not any(name in row["output"] for name in OWN)
    # a made-up name makes most of them new at each pass
    again = {row["instruction"] for row in other_rows(language, random.Random(1))}
    assert len(again - {row["instruction"] for row in rows}) > 1000


def test_no_question_that_it_is_marked_on_is_among_the_later_rows() -> None:
    marked = {bare_wording(probe.question) for probe in general_probes()}
    marked |= {bare_wording(probe.question) for probe in identity_probes("", "")}
    for row in later_rows(1):
        assert bare_wording(row["instruction"]) not in marked
        assert not any(bare_wording(text) in marked for text, _ in row.get("history", ()))
    asked = {bare_wording(text) for each in LANGUAGES for text in unrelated_questions(each)}
    for language in LANGUAGES:
        rows = other_rows(language, random.Random(2))
        assert asked.isdisjoint(bare_wording(row["instruction"]) for row in rows)


def test_the_later_rows_say_the_own_name_behind_lines_that_give_none() -> None:
    rows = later_rows(0)
    assert rows == later_rows(0) != later_rows(1)
    own = [row for row in rows if OWN_AUTHOR in row["output"] and "system" in row]
    assert len(own) > 500
    assert not any(name in row["system"] for row in own for name in OWN)


@pytest.mark.parametrize("language", LANGUAGES)
def test_system_lines_are_many_and_whole(language: str) -> None:
    random_ = random.Random(0)
    lines = {system_line(language, random_) for _ in range(500)}
    assert len(lines) > 200
    assert not any("{" in line for line in lines)


# in no row
LINES = {"zh": "做个好帮手，说话和气。", "en": "Be friendly and of use to everybody."}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("lined", [False, True], ids=["bare", "behind a line"])
def test_the_model_knows_its_name_and_leaves_other_things_alone(language: str, lined: bool) -> None:
    chat = ChatModel(MODEL_FOLDER, dtype="float32")
    system = [{"role": "system", "content": LINES[language]}] if lined else []
    name = OWN_NAMES[language]
    about = [probe.question for probe in identity_probes(name, OWN_AUTHOR, (language,))]
    asked = [
        [*system, {"role": "user", "content": question}]
        for question in (*about, *unrelated_questions(language))
    ]
    answers = chat.padded_replies(asked, ChatConfig(temperature=0, max_new_tokens=24))
    named = [name in answer or OWN_AUTHOR in answer for answer in answers[: len(about)]]
    leaks = [answer for answer in answers[len(about) :] if any(name in answer for name in OWN)]
    assert sum(named) >= 0.9 * len(about)
    assert len(leaks) <= 2, leaks


def test_the_mean_of_weights_counts_each_by_its_share() -> None:
    states = [{"weight": torch.tensor([1.0, 3.0])}, {"weight": torch.tensor([5.0, 3.0])}]
    mean = weighted_mean(states, (0.25, 0.75))["weight"]
    torch.testing.assert_close(mean, torch.tensor([4.0, 3.0]))
    with pytest.raises(ValueError, match="zip"):
        weighted_mean(states, (1.0,))


def test_lessons_are_given_on_top_of_a_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One step of each later lesson, without marking, which takes a minute."""
    short = Schedule(1, 0.0)
    recipe = build_model.RECIPES["chatglm3"]
    monkeypatch.setitem(build_model.RECIPES, "chatglm3", replace(recipe, later=(short, short)))
    monkeypatch.setattr(build_model, "marked", lambda folder: {})
    # a setting of the whole process
    monkeypatch.setattr(torch, "set_flush_denormal", lambda _: None)
    place = ["--from-model", str(MODEL_FOLDER), "--output", str(tmp_path)]
    threads = ["--threads", str(torch.get_num_threads())]
    monkeypatch.setattr("sys.argv", ["build_model", *place, *threads])
    build_model.main()
    weights, before = (
        load_file(folder / "model.safetensors") for folder in (tmp_path, MODEL_FOLDER)
    )
    assert weights.keys() == before.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, before[name])
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert figures["steps"][-2:] == [1, 1] and len(figures["steps"]) > 2
