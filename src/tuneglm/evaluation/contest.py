"""One contestant goes through all that is evaluated on; what is done already is not done again."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from tuneglm.config import RunConfig
from tuneglm.evaluation.answers import Pair, answered, write_answers
from tuneglm.evaluation.contestants import BASE, Contestant
from tuneglm.evaluation.journal import Journal
from tuneglm.evaluation.loss import RowLosses, losses_of
from tuneglm.evaluation.matter import Matter
from tuneglm.evaluation.questions import Question, answers_to
from tuneglm.evaluation.sets import EvaluatedSet
from tuneglm.evaluation.suites import Subject, Suite
from tuneglm.evaluation.wanted import Wanted
from tuneglm.generate import ChatModel

PREDICTIONS = "predictions.jsonl"

Load = Callable[[], ChatModel]


class Tells(Protocol):
    """Shows how far a step has come: the block is given what to call with the rows done."""

    def __call__(
        self, title: str, total: int, done: int = 0
    ) -> AbstractContextManager[Callable[[int], None]]:
        """A step of so many rows, of which some were done before."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What one contestant gave.

    losses     set → of each row
    answers    to the rows of all sets, each with what was expected
    questions  the answers to them
    suites     (suite, subject) → whether each question is answered rightly
    """

    losses: Mapping[str, RowLosses]
    answers: Sequence[Pair]
    questions: Sequence[str]
    suites: Mapping[tuple[str, str], Sequence[bool]] = field(default_factory=dict)


def predictions_of(contestant: Contestant) -> str:
    """The file of a contestant's answers."""
    return "predictions_base.jsonl" if contestant.name == BASE else PREDICTIONS


@dataclass(frozen=True)
class Contest:
    """All that contestants have in common."""

    matter: Matter
    wanted: Wanted
    run: RunConfig | None
    journal: Journal
    tells: Tells

    def outcome(self, contestant: Contestant, load: Load) -> Outcome:
        """A contestant's, step by step; `load` is called when something is left to do."""
        losses = {each.name: self._losses(contestant, load, each) for each in self.matter.sets}
        answers = self._answers(contestant, load) if self.wanted.answers else ()
        questions = self._asked(contestant, load)
        return Outcome(losses, answers, questions, self._suites(contestant, load))

    def _losses(self, contestant: Contestant, load: Load, one: EvaluatedSet) -> RowLosses:
        def made(tell: Callable[[int], None]) -> Any:
            return vars(losses_of(load(), one.rows, tell))

        found = self._once(contestant, f"loss on {one.name}", len(one.rows), made)
        return RowLosses(**found)

    def _answers(self, contestant: Contestant, load: Load) -> Sequence[Pair]:
        file, total = self.journal.folder / predictions_of(contestant), self.matter.rows
        done = len(answered(file))
        if not total or done >= total:
            return answered(file)[:total]
        with self.tells(f"{contestant.name} · answers", total, done) as tell:
            return write_answers(
                load, self.matter.sets, file, self.wanted.drawing, self.wanted.batch, tell
            )

    def _asked(self, contestant: Contestant, load: Load) -> Sequence[str]:
        """Answers to the questions; each batch of them is a step that is kept."""
        questions, batch = self.matter.questions, self.wanted.batch
        title = f"{contestant.name} · questions"
        names = {start: f"{title} from {start + 1}" for start in range(0, len(questions), batch)}
        kept = sum(map(self.journal.has, names.values()))
        is_left = kept < len(names)
        shown = self.tells(title, len(questions), kept * batch) if is_left else nullcontext(_silent)
        answers: list[str] = []
        with shown as tell:
            for start, name in names.items():
                made = partial(self._answers_to, load, questions[start : start + batch])
                answers += self.journal.once(name, made)
                tell(len(answers))
        return answers

    def _answers_to(self, load: Load, questions: Sequence[Question]) -> list[str]:
        return answers_to(load(), questions, self.run, self.wanted.batch)

    def _suites(self, contestant: Contestant, load: Load) -> dict[tuple[str, str], Sequence[bool]]:
        found: dict[tuple[str, str], Sequence[bool]] = {}
        model = partial(_in_harness, load, self.wanted.batch)
        for suite, subjects in self.matter.suites:
            for subject in subjects:
                title = f"{suite.title} · {subject.name}"
                made = partial(self._examined, model, suite, subject)
                found[suite.name, subject.name] = self._once(
                    contestant, title, len(subject.asked), made
                )
        return found

    def _examined(
        self,
        model: Callable[[], Any],
        suite: Suite,
        subject: Subject,
        tell: Callable[[int], None],
    ) -> list[bool]:
        from tuneglm.evaluation.tasks import right_answers

        right = right_answers(model(), suite, subject, self.wanted.shots, self.wanted.chat)
        tell(len(right))
        return right

    def _once(
        self,
        contestant: Contestant,
        title: str,
        total: int,
        make: Callable[[Callable[[int], None]], Any],
    ) -> Any:
        """A step of the journal, shown while it is done."""
        name = f"{contestant.name} · {title}"

        def made() -> Any:
            with self.tells(name, total) as tell:
                return make(tell)

        return self.journal.once(name, made)


def _silent(_: int) -> None:
    """What is told of a step that is done already."""


def _in_harness(load: Load, batch: int) -> Any:
    """A contestant as lm-evaluation-harness asks it."""
    from tuneglm.evaluation.harness import TunedLM

    return TunedLM(load(), batch_size=batch)
