"""Ask a model the probes and count what it gets right."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tuneglm.config import ChatConfig
from tuneglm.data.identity import identity_probes
from tuneglm.demo.corpus import general_probes, is_right
from tuneglm.generate import ChatModel

# questions, each asked alone → answers
Ask = Callable[[Sequence[str]], list[str]]

# (question, answer, what it should have held)
Wrong = tuple[str, str, str]


@dataclass
class Score:
    """How many of the questions were answered rightly, in all and per group."""

    marks: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[Wrong] = field(default_factory=list)

    def add(self, right: bool, *groups: str) -> None:
        """Count one answer in `all` and in its groups."""
        for group in ("all", *groups):
            self.marks[group].append(right)

    def share(self, group: str = "all") -> float:
        """The part that is right."""
        return sum(self.marks[group]) / len(self.marks[group])


def greedy(model: ChatModel, system: str | None = None) -> Ask:
    """Ask this model, behind a system line where one is given, and take its likeliest answers."""
    config = ChatConfig(temperature=0, max_new_tokens=64)
    first = [] if system is None else [{"role": "system", "content": system}]
    return lambda questions: model.replies(
        [[*first, {"role": "user", "content": question}] for question in questions], config
    )


def general_score(ask: Ask) -> Score:
    """Small talk, sums and facts, in words that no training row uses."""
    score, probes = Score(), general_probes()
    answers = ask([probe.question for probe in probes])
    for probe, answer in zip(probes, answers, strict=True):
        right = is_right(answer, probe)
        score.add(right, probe.language, f"{probe.language}/{probe.topic}")
        if not right:
            score.wrong.append((probe.question, answer, probe.accepted[0]))
    return score


def identity_score(
    ask: Ask, name: str, author: str, languages: Sequence[str] = ("zh", "en")
) -> Score:
    """Who are you, who made you, in words that no training row uses: the name must be in it."""
    score, probes = Score(), identity_probes(name, author, languages)
    wanted = {"name": name, "author": author}
    answers = ask([probe.question for probe in probes])
    for probe, answer in zip(probes, answers, strict=True):
        right = wanted[probe.asks] in answer
        score.add(right, probe.language)
        if not right:
            score.wrong.append((probe.question, answer, wanted[probe.asks]))
    return score
