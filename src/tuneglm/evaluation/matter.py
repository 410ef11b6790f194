"""What is evaluated on: sets, questions and suites, found before any model is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from tuneglm.config import RunConfig
from tuneglm.data_config import DataConfig
from tuneglm.errors import ConfigError
from tuneglm.evaluation.questions import Question, questions_of
from tuneglm.evaluation.sets import EvaluatedSet, data_config, kept_sets, named_sets, some
from tuneglm.evaluation.suites import Subject, Suite, subjects_of, suite_and_folder
from tuneglm.evaluation.wanted import Wanted
from tuneglm.models.encoder import encoder_of
from tuneglm.models.loading import load_tokenizer, resolved_family
from tuneglm.packages import need

# a suite lies where a person puts it, not where a run had its rows
DATA = DataConfig.model_fields["dir"].default
NOTHING = (
    "name sets (--data my.json), questions (--probes FILE) or a suite (--suite ceval); a run has "
    "rows of its own with data.evaluation_share=0.1, questions with data.identity"
)


@dataclass(frozen=True, eq=False)
class Matter:
    """Sets, questions, and suites with their subjects."""

    sets: Sequence[EvaluatedSet]
    questions: Sequence[Question]
    suites: Sequence[tuple[Suite, Sequence[Subject]]]

    @property
    def rows(self) -> int:
        """Of all sets."""
        return sum(len(each.rows) for each in self.sets)

    def as_settings(self) -> dict[str, Any]:
        """By which the same matter is known again."""
        subjects = [(suite.name, each.digest) for suite, own in self.suites for each in own]
        return {
            "sets": {each.name: each.digest for each in self.sets},
            "questions": _digest(self.questions),
            "suites": _digest(subjects),
        }


def matter_of(folder: Path, run: RunConfig | None, wanted: Wanted) -> Matter:
    """All that was asked for; raises a UserError where that is nothing, or cannot be found."""
    suites = [
        suite_and_folder(word, Path(wanted.dir or DATA).expanduser()) for word in wanted.suites
    ]
    if suites:
        need("suites", f"`--suite {suites[0][0].name}`")
    found = [(suite, subjects_of(suite, path)) for suite, path in suites]
    questions: list[Question] = []
    if wanted.probes is not None or wanted.is_open:
        questions = questions_of(run, wanted.probes or (), wanted.questions)
    sets: list[EvaluatedSet] = []
    if wanted.data is not None or wanted.is_open:
        sets = _sets(folder, run, wanted)
    if sets and wanted.answers:
        need("eval", "Scoring by BLEU and ROUGE")
    if not (sets or questions or found):
        what = "a run that kept no rows and has no questions" if run else "a model, not a run"
        raise ConfigError(f"There is nothing to evaluate `{folder}` on: it is {what}.", NOTHING)
    return Matter(sets, questions, found)


def _sets(folder: Path, run: RunConfig | None, wanted: Wanted) -> list[EvaluatedSet]:
    config = data_config(run, wanted)
    family = resolved_family(folder, wanted.family)
    tokenizer = load_tokenizer(folder, family=family.name)
    encoder = encoder_of(config, tokenizer, family)
    if wanted.data:
        sets = named_sets(wanted.data, config, encoder)
    else:
        sets = [] if run is None else kept_sets(run, encoder)
    return [some(each, wanted.rows, wanted.seed, tokenizer) for each in sets]


def _digest(things: Sequence[object]) -> str:
    return blake2b(repr(list(things)).encode(), digest_size=8).hexdigest() if things else ""
