"""The conversation: asked, asked again, edited, taken back; the base beside what was tuned."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tuneglm.config import ChatConfig
from tuneglm.errors import ModelError
from tuneglm.web.files import Workplace
from tuneglm.web.foresee import Plans
from tuneglm.web.record import Page
from tuneglm.web.site import Site, named_models
from tuneglm.web.tab_chat import SAMPLING, ChatActs
from tuneglm.web.words import Words

ASKED: Any = SimpleNamespace(username=None)
DRAWN = [field.shown for field in SAMPLING]


@dataclass
class Speaker:
    """Says which question of a conversation it hears, in two pieces; keeps what it was asked."""

    heard: list[tuple[list[str], float | None, str | None]] = field(default_factory=list)

    def stream(
        self, path: str, conversation: Any, config: ChatConfig, *, base: str | None = None
    ) -> Iterator[str]:
        said = [turn["content"] for turn in conversation]
        if said[-1] == "too long":
            raise ModelError("There is not enough memory for an answer.")
        self.heard.append((said, config.temperature, base))
        yield "base: " if base else "tuned: "
        yield said[-1]


@pytest.fixture
def speaker() -> Speaker:
    return Speaker()


@pytest.fixture
def acts(tmp_path: Path, speaker: Speaker) -> ChatActs:
    """Of a workplace with one finished run."""
    place = Workplace(tmp_path)
    place.run("run-1").mkdir()
    for name, text in (("run.yaml", "model: {path: the-base}"), ("adapter_config.json", "{}")):
        (place.run("run-1") / name).write_text(text, encoding="utf-8")
    (place.run("run-1") / "adapter_model.safetensors").touch()
    models: Any = speaker
    return ChatActs(
        Page(Site(place, True, named_models([]), tmp_path), Words("en"), models, Plans())
    )


def history(*said: str) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[place % 2], "content": text} for place, text in enumerate(said)]


def last(steps: Iterator[Any]) -> Any:
    return [*steps][-1]


def test_an_answer_comes_in_pieces_and_what_is_typed_meanwhile_stays(acts: ChatActs) -> None:
    steps = acts.ask("who?", ASKED, "run-1", False, [], [], *DRAWN)
    texts = [tuned[1]["content"] for _, tuned, _, _ in steps if len(tuned) > 1]
    assert texts == ["tuned: ", "tuned: who?"]
    steps = [*acts.ask("who?", ASKED, "run-1", False, [], [], *DRAWN)]
    assert steps[-1][1] == history("who?", "tuned: who?")
    # the question is taken out of its box once
    assert steps[0][0] == "" and all(step[0] != "" for step in steps[1:])


def test_the_base_answers_from_where_it_came_in(acts: ChatActs, speaker: Speaker) -> None:
    before = history("a", "tuned: a")
    _, tuned, base, _ = last(acts.ask("b", ASKED, "run-1", True, before, [], *DRAWN))
    assert tuned == [*before, *history("b", "tuned: b")]
    assert base == history("b", "base: b")
    assert [(said, base) for said, _, base in speaker.heard] == [
        (["a", "tuned: a", "b"], None),
        (["b"], "the-base"),
    ]


def test_a_question_is_asked_again_edited_and_taken_back(acts: ChatActs) -> None:
    said = history("a", "tuned: a", "b", "tuned: b")
    settings = ["run-1", True, said, history("b", "base: b"), *DRAWN]
    again: Any = SimpleNamespace(index=2)
    tuned, base, _ = last(acts.retry(again, ASKED, *settings))
    assert tuned == said and base == history("b", "base: b")
    edited: Any = SimpleNamespace(index=(2, 0), value="c")
    tuned, base, _ = last(acts.edit(edited, ASKED, *settings))
    assert tuned == history("a", "tuned: a", "c", "tuned: c")
    assert base == history("c", "base: c")
    first: Any = SimpleNamespace(index=0)
    question, tuned, _ = acts.undo(said, [], first)
    assert (question, tuned) == ("a", [])


def test_how_answers_are_drawn_is_handed_on(acts: ChatActs, speaker: Speaker) -> None:
    place = next(i for i, field in enumerate(SAMPLING) if field.key == "chat.temperature")
    drawn = [*DRAWN]
    drawn[place] = "0.25"
    last(acts.ask("a", ASKED, "run-1", False, [], [], *drawn))
    assert speaker.heard[-1][1] == 0.25
    drawn[place] = "hot"
    question, tuned, _, refusal = last(acts.ask("a", ASKED, "run-1", False, [], [], *drawn))
    assert question == "a" and tuned == [] and "temperature" in refusal


@pytest.mark.parametrize(
    ("question", "name", "sentence"),
    [
        ("too long", "run-1", "not enough memory"),
        ("who?", "", "No model is chosen"),
        ("who?", "demo", "was not tuned here"),
    ],
)
def test_what_cannot_be_asked_is_not_lost(
    acts: ChatActs, question: str, name: str, sentence: str
) -> None:
    before = history("a", "tuned: a")
    box, tuned, _, said = last(acts.ask(question, ASKED, name, True, before, [], *DRAWN))
    assert box == question and tuned == before and sentence in said


def test_nothing_is_no_question(acts: ChatActs, speaker: Speaker) -> None:
    last(acts.ask("  ", ASKED, "run-1", False, [], [], *DRAWN))
    assert speaker.heard == []
