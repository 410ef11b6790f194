"""What a person asks to be evaluated."""

from dataclasses import dataclass
from typing import Literal

from tuneglm.config import ChatConfig
from tuneglm.models.precision import Width

ROWS, QUESTIONS, BATCH, SHOTS = 500, 20, 16, 5
# an evaluation is repeatable: the likeliest token is taken each time
DRAWING = ChatConfig(temperature=0, max_new_tokens=256, seed=0)


@dataclass(frozen=True)
class Wanted:
    """An evaluation.

    path      output folder of a run, a model's folder, or an id of the hub
    data      names and files of sets; empty: the rows that the run kept; None: no sets
    probes    files of questions; empty: the run's own; None: no questions
    suites    NAME or NAME=FOLDER of published suites
    base      whether the base is evaluated beside it
    rows      of each set at most so many, drawn by the seed of `drawing`
    questions of each kind at most so many
    answers   whether rows are answered; else the loss alone
    drawing   how answers are drawn
    batch     prompts that are answered at once
    shots     examples before each question of a suite
    chat      whether a suite asks in the model's own chat form
    output    folder for the report; None: see `output_folder`
    adapters  folders of trained parts, added to the model
    dir       folder of data; None: the run's
    language  of the page and its picture
    """

    path: str
    data: tuple[str, ...] | None = None
    probes: tuple[str, ...] | None = None
    suites: tuple[str, ...] = ()
    base: bool = False
    rows: int = ROWS
    questions: int = QUESTIONS
    answers: bool = True
    drawing: ChatConfig = DRAWING
    batch: int = BATCH
    shots: int = SHOTS
    chat: bool = False
    output: str | None = None
    adapters: tuple[str, ...] = ()
    family: str | None = None
    dtype: str | None = None
    bits: Width | None = None
    device: str | None = None
    dir: str | None = None
    language: Literal["zh", "en"] = "en"

    @property
    def seed(self) -> int:
        """Draws rows, resamples, and answers where these are drawn."""
        return self.drawing.seed or 0

    @property
    def is_open(self) -> bool:
        """Whether nothing was named: then all that a run has is evaluated."""
        return self.data is None and self.probes is None and not self.suites
