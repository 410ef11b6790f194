"""Questions with what has to be in the answers: who the model is now, and what it forgot."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuneglm.config import ChatConfig, ProbeConfig, RunConfig
from tuneglm.data.probes import OTHER, Probe, read_probes
from tuneglm.generate import ChatModel
from tuneglm.probing import probes_of

# beside rows.json, as `tuneglm data identity` writes it
BESIDE = "{stem}_probes.json"


@dataclass(frozen=True)
class Question:
    """A probe behind a system line."""

    probe: Probe
    system: str

    @property
    def kind(self) -> str:
        """Under which it is counted."""
        return "no leak in other answers" if self.probe.asks == OTHER else self.probe.asks

    @property
    def conversation(self) -> list[dict[str, str]]:
        """What the model is shown."""
        asked = {"role": "user", "content": self.probe.question}
        return [{"role": "system", "content": self.system}, asked] if self.system else [asked]


def questions_of(run: RunConfig | None, files: Sequence[str], most: int) -> list[Question]:
    """Those of files, or with none the run's own, each behind the run's system lines.

    most  of each kind at most so many, from all over the files
    """
    config = ProbeConfig() if run is None else run.probe
    probes = [probe for file in files for probe in read_probes(Path(file))]
    if not files and run is not None:
        probes = probes_of(run)
        probes += [probe for file in _beside(run) for probe in read_probes(file)]
    systems = config.systems if run is not None else ("",)
    asked = [Question(probe, system) for system in systems for probe in dict.fromkeys(probes)]
    kinds = dict.fromkeys(each.kind for each in asked)
    of_kinds = ([each for each in asked if each.kind == kind] for kind in kinds)
    return [each for own in of_kinds for each in _spread(own, most)]


def _spread(questions: Sequence[Question], most: int) -> list[Question]:
    """At most so many of them, evenly."""
    if len(questions) <= most:
        return list(questions)
    return [questions[number * len(questions) // most] for number in range(most)]


def answers_to(
    chat: ChatModel,
    questions: Sequence[Question],
    run: RunConfig | None,
    batch: int,
) -> list[str]:
    """The likeliest answer to each."""
    config = ProbeConfig() if run is None else run.probe
    drawing = ChatConfig(temperature=0, max_new_tokens=config.max_new_tokens)
    prompts = [chat.prompt(each.conversation) for each in questions]
    return chat.padded_answers(prompts, drawing, batch)


def _beside(run: RunConfig) -> Iterator[Path]:
    """Files of questions that lie beside files of rows, and are not named by the run."""
    named = {Path(file).expanduser().absolute() for file in run.probe.files}
    for entry in run.data.train:
        rows = Path(entry.path or entry.name or "").expanduser()
        file = rows.with_name(BESIDE.format(stem=rows.stem)) if rows.name else rows
        if rows.is_file() and file.is_file() and file.absolute() not in named:
            yield file
