"""The figures of a demo model as it was saved: what it answers rightly, and what with who it is."""

from pathlib import Path
from typing import Any

from tuneglm.data.identity import templates_of, unrelated_questions
from tuneglm.demo.curriculum import OWN_AUTHOR, OWN_NAMES
from tuneglm.demo.scoring import general_score, greedy, identity_score
from tuneglm.generate import ChatModel


def marked(folder: Path) -> dict[str, Any]:
    """Size and scores of the model as it was saved."""
    chat = ChatModel(folder, dtype="float32")
    ask = greedy(chat)
    general = general_score(ask)
    for question, answer, wanted in general.wrong:
        print(f"wrong: {question!r} -> {answer!r}, not {wanted!r}")
    return {
        "parameters": chat.model.num_parameters(),
        "identity": {
            language: round(identity_score(ask, name, OWN_AUTHOR, [language]).share(), 4)
            for language, name in OWN_NAMES.items()
        },
        "identity_behind_a_line": {
            language: round(_behind_lines(chat, name, language), 4)
            for language, name in OWN_NAMES.items()
        },
        "other_things_answered_with_an_identity": {
            language: sum(map(says_who_it_is, ask(unrelated_questions(language))))
            for language in OWN_NAMES
        },
        "general": {group: round(general.share(group), 4) for group in sorted(general.marks)},
    }


def _behind_lines(chat: ChatModel, name: str, language: str) -> float:
    """The part of the questions on itself that are answered rightly behind common lines."""
    lines = templates_of(language).systems
    scores = [
        identity_score(greedy(chat, line), name, OWN_AUTHOR, [language]).share() for line in lines
    ]
    return sum(scores) / len(scores)


def says_who_it_is(answer: str) -> bool:
    """Whether an answer holds the model's own name or its author's."""
    return any(name in answer for name in (*OWN_NAMES.values(), OWN_AUTHOR))
