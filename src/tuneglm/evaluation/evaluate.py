"""evaluate(wanted): the main path.

path → who, and on what → each one's outcome, step by step → figures → a table, a page, a picture
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tuneglm.checkpoints import refuse_unfinished, run_within, writable
from tuneglm.config import RunConfig
from tuneglm.errors import ConfigError
from tuneglm.evaluation.contest import Contest
from tuneglm.evaluation.contestants import Loaded, contestants_of, run_of
from tuneglm.evaluation.findings import Report
from tuneglm.evaluation.journal import journal_in
from tuneglm.evaluation.matter import Matter, matter_of
from tuneglm.evaluation.sections import sections_of
from tuneglm.evaluation.wanted import Wanted
from tuneglm.models.adapters import is_adapter
from tuneglm.models.bases import digest_of_samples
from tuneglm.models.loading import local_folder
from tuneglm.reports.evaluation import write_report
from tuneglm.reports.evaluation_terminal import print_report
from tuneglm.reports.steps import Steps
from tuneglm.reports.terminal import console, plain

FOLDER = "evaluation"
NO_ROWS = "The run kept no rows for evaluation; --data FILE gives loss, BLEU and ROUGE."


def evaluate(wanted: Wanted) -> Report:
    """Evaluate as `wanted` says; the report lies in `output_folder(…)` and is printed.

    The same call goes on where an earlier one was stopped. Raises UserError for whatever in
    the path, the data or the folder is wrong, before a model is loaded.
    """
    terminal = console()
    folder = local_folder(run_within(wanted.path))
    refuse_unfinished(folder)
    run = run_of(folder)
    contestants = contestants_of(folder, run, wanted)
    matter = matter_of(folder, run, wanted)
    if wanted.is_open and not matter.sets:
        terminal.print(f"[yellow]Note:[/] {NO_ROWS}")
    settings = settings_of(folder, matter, wanted)
    output = output_folder(folder, run, wanted)
    with journal_in(output, settings) as journal, _kept(output, wanted), Steps(terminal) as steps:
        if journal.is_begun:
            terminal.print(f"What is done in {plain(str(output))} is not done again.")
        contest = Contest(matter, wanted, run, journal, steps.step)
        loaded = Loaded(wanted)
        outcomes = {each.name: contest.outcome(each, partial(loaded, each)) for each in contestants}
        sections = sections_of(matter, outcomes, wanted.seed)
        names = {each.name: str(each.path) for each in contestants}
        report = Report(names, sections, settings)
        with writable(output):
            write_report(output, report, wanted.language)
    print_report(terminal, report, output)
    return report


@contextmanager
def _kept(output: Path, wanted: Wanted) -> Iterator[None]:
    """What ends an evaluation early says what is kept, and how it goes on."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        kept = f"What is done is kept in `{output}`: the same command goes on from there."
        raise KeyboardInterrupt(str(stopped) or kept) from None
    except torch.OutOfMemoryError as error:
        asked = " ".join(str(error).split()).partition(". ")[0]
        raise ConfigError(
            f"The evaluation needs more memory than there is: {asked}.",
            f"take a smaller --batch than {wanted.batch}, or --bits 4; what is done is kept in "
            f"`{output}`",
        ) from None


def settings_of(folder: Path, matter: Matter, wanted: Wanted) -> dict[str, Any]:
    """What makes an evaluation what it is; the base may come to it later."""
    weights = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")])
    return {
        "model": digest_of_samples(weights),
        "adapters": list(wanted.adapters),
        "rows": wanted.rows,
        "seed": wanted.seed,
        "answers": wanted.answers,
        "drawing": wanted.drawing.model_dump(),
        "shots": wanted.shots,
        "chat": wanted.chat,
        "dtype": wanted.dtype or "auto",
        "bits": wanted.bits or "auto",
        **matter.as_settings(),
    }


def output_folder(folder: Path, run: RunConfig | None, wanted: Wanted) -> Path:
    """Where the report goes: into a result, beside whoever calls for another's model."""
    if wanted.output is not None:
        return Path(wanted.output).expanduser()
    if run is not None or is_adapter(folder):
        return folder / FOLDER
    return Path(f"{Path(wanted.path).expanduser().resolve().name}-{FOLDER}")
