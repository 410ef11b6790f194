"""The main job on the small model that comes with tuneglm: before, tuning, after.

ask the model who it is → write identity rows for the new name → mix in general rows
→ train(config), as anyone would → ask again → what changed, what was kept
"""

import json
import random
import re
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tuneglm.checkpoints import RUN_FILE, check_output, is_finished, writable
from tuneglm.config import RunConfig, load_config
from tuneglm.data.identity import identity_rows
from tuneglm.data.identity_files import check_names, probes_about
from tuneglm.demo import model_folder
from tuneglm.demo.corpus import general_rows
from tuneglm.demo.curriculum import joined
from tuneglm.demo.questions import general_questions
from tuneglm.demo.scoring import Score, general_score, greedy, identity_score
from tuneglm.generate import ChatModel
from tuneglm.reports.terminal import command, console
from tuneglm.training import train

QUESTIONS = (
    "你是谁？",
    "你叫什么名字？",
    "谁开发了你？",
    "Who are you?",
    "Who created you?",
    "法国的首都是哪里？",
    "What is 3 + 4?",
)
# what keeps the model's other knowledge in place while it learns its name
GENERAL_ROWS = 1400
IDENTITY_REPEATS = 2
# the promise: answers about itself in the new name, and what may be lost of the others
PROMISED, LOST = 0.95, 0.05
SETTINGS = (
    # on a processor the fused kernel's way back is slow for rows this short
    "model.attention=eager",
    "method.rank=16",
    "method.alpha=32",
    "method.targets=all",
    "training.num_train_epochs=1.6",
    "training.per_device_train_batch_size=16",
    "training.learning_rate=0.003",
    "training.save_strategy=no",
)


def run(name: str, author: str, output: Path, family: str | None = None) -> int:
    """The whole demonstration.

    0 where it kept its promise: at least PROMISED of the questions about itself
    answered in the new name, at most LOST of the others forgotten; else 1, and
    130 where Ctrl-C stopped it.
    """
    check_names(name, author)
    started = time.monotonic()
    terminal = console()
    model = model_folder(family)
    config = run_config(name, author, _folder(output, name, author), model)
    check_output(config)
    terminal.print(f"[bold]1. Before[/]: the model that comes with tuneglm ({model})")
    before = greedy(ChatModel(model))
    answers_before, general_before = before(QUESTIONS), general_score(before)
    identity_before = identity_score(before, name, author)

    terminal.print(
        f"\n[bold]2. Tuning[/]: it learns that it is {escape(name)}, made by {escape(author)}"
    )
    result = train(config)
    if not result.finished:
        return 130

    terminal.print("\n[bold]3. After[/]")
    after = greedy(ChatModel(result.folder))
    _print_answers(terminal, answers_before, after(QUESTIONS))
    identity_after, general_after = identity_score(after, name, author), general_score(after)
    scores = (identity_before, identity_after), (general_before, general_after)
    _print_scores(terminal, *scores)
    terminal.print(f"In {time.monotonic() - started:.0f} seconds. Talk to it:")
    terminal.print(f"[bold]{command('chat', result.folder)}[/]")
    lost = general_before.share() - general_after.share()
    if identity_after.share() >= PROMISED and round(lost, 3) <= LOST:
        return 0
    terminal.print(
        f"[yellow]Note:[/] that is less than promised ({PROMISED:.0%} in the new name, at most "
        f"{100 * LOST:.0f} points forgotten): a shorter name may do better."
    )
    return 1


def run_config(name: str, author: str, folder: Path, model: Path) -> RunConfig:
    """Write the two data sets and return the run that tunes on them."""
    identity, general = _data_files(folder)
    random_ = random.Random(0)
    with writable(identity.parent):
        identity.write_text(_text(_identity(name, author)), encoding="utf-8")
        rows = joined(random_.sample(general_rows(seed=1), GENERAL_ROWS), random_)
        general.write_text(_text(_once(rows)), encoding="utf-8")
        for file, probes in (
            (identity, probes_about(name, author)),
            (general, general_questions()),
        ):
            questions = [asdict(probe) for probe in probes]
            # `tuneglm evaluate` finds them there
            beside = file.with_name(f"{file.stem}_probes.json")
            beside.write_text(_text(questions), encoding="utf-8")
    tree: dict[str, Any] = {
        "model.path": str(model),
        "data.train": [{"path": str(identity)}, {"path": str(general)}],
        "training.output_dir": str(folder),
    }
    overrides = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in tree.items()]
    return load_config(None, [*overrides, *SETTINGS])


def _identity(name: str, author: str) -> list[dict[str, Any]]:
    """Each pass over the identity in words and answers drawn anew."""
    return _once(
        row for seed in range(IDENTITY_REPEATS) for row in identity_rows(name, author, seed=seed)
    )


def _once(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, none twice: `data check` would ask why."""
    return list({json.dumps(row, sort_keys=True): row for row in rows}.values())


def _data_files(folder: Path) -> tuple[Path, Path]:
    data = folder.parent / f"{folder.name}-data"
    return data / "identity.json", data / "general.json"


def _folder(output: Path, name: str, author: str) -> Path:
    """A folder for this name that is not there yet, or holds this very run, unfinished."""
    first = output / (re.sub(r"[^\w-]+", "-", name).strip("-") or "model")
    folder, number = first, 1
    while folder.exists() and not _is_unfinished(folder, name, author):
        number += 1
        folder = first.with_name(f"{first.name}-{number}")
    return folder


def _is_unfinished(folder: Path, name: str, author: str) -> bool:
    identity, _ = _data_files(folder)
    return (
        (folder / RUN_FILE).is_file()
        and not is_finished(folder)
        and identity.is_file()
        and identity.read_text(encoding="utf-8") == _text(_identity(name, author))
    )


def _text(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, ensure_ascii=False, indent=1)


def _print_answers(terminal: Console, before: list[str], after: list[str]) -> None:
    table = Table(show_lines=False, expand=False)
    table.add_column("question", style="dim")
    table.add_column("before", overflow="fold")
    table.add_column("after", style="green", overflow="fold")
    for row in zip(QUESTIONS, before, after, strict=True):
        table.add_row(*map(escape, row))
    terminal.print(table, soft_wrap=False)


def _print_scores(
    terminal: Console, identity: tuple[Score, Score], general: tuple[Score, Score]
) -> None:
    table = Table.grid(padding=(0, 2))
    for label, (before, after) in (
        ("Says its new name or maker, asked in words that it never saw", identity),
        ("Answers small talk, sums and facts, asked in words that it never saw", general),
    ):
        table.add_row(label, f"{before.share():.0%} → [bold]{after.share():.0%}[/]")
    terminal.print(table, soft_wrap=False)
