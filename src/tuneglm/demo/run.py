"""The main job on the small model that comes with tuneglm: before, tuning, after.

ask the model who it is → write identity rows for the new name → mix in general rows
→ train(config), as anyone would → ask again → what changed, what was kept
"""

import json
import random
import re
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tuneglm.checkpoints import free_sibling
from tuneglm.config import RunConfig, load_config
from tuneglm.data.identity import identity_rows
from tuneglm.demo import MODEL_FOLDER
from tuneglm.demo.corpus import general_rows
from tuneglm.demo.curriculum import joined
from tuneglm.demo.scoring import Score, general_score, greedy, identity_score
from tuneglm.errors import ConfigError
from tuneglm.generate import ChatModel
from tuneglm.report import command, console
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
IDENTITY_REPEATS = 4
SETTINGS = (
    # on a processor the fused kernel's way back is slow for rows this short
    "model.attention=eager",
    "method.rank=16",
    "method.alpha=32",
    "method.targets=all",
    "training.num_train_epochs=2",
    "training.per_device_train_batch_size=16",
    "training.learning_rate=0.003",
    "training.save_strategy=no",
)


def run(name: str, author: str, output: Path) -> int:
    """The whole demonstration; 0 where it keeps what it promises."""
    if not name.strip() or not author.strip():
        raise ConfigError("A name and an author are needed.", "--name 星河 --author 北斗实验室")
    started = time.monotonic()
    terminal = console()
    folder = _folder(output, name)
    terminal.print(f"[bold]1. Before[/]: the model that comes with tuneglm ({MODEL_FOLDER})")
    before = greedy(ChatModel(MODEL_FOLDER))
    answers_before, general_before = before(QUESTIONS), general_score(before)
    identity_before = identity_score(before, name, author)

    terminal.print(
        f"\n[bold]2. Tuning[/]: it learns that it is {escape(name)}, made by {escape(author)}"
    )
    result = train(run_config(name, author, folder))
    if not result.finished:
        return 130

    terminal.print("\n[bold]3. After[/]")
    after = greedy(ChatModel(result.folder))
    _print_answers(terminal, answers_before, after(QUESTIONS))
    scores = (identity_before, identity_score(after, name, author))
    _print_scores(terminal, scores, (general_before, general_score(after)))
    terminal.print(f"In {time.monotonic() - started:.0f} seconds. Talk to it:")
    terminal.print(f"[bold]{command('chat', result.folder)}[/]")
    return 0


def run_config(name: str, author: str, folder: Path) -> RunConfig:
    """Write the two data sets and return the run that tunes on them."""
    data = folder.parent / f"{folder.name}-data"
    data.mkdir(parents=True, exist_ok=True)
    identity, general = data / "identity.json", data / "general.json"
    # each pass over the identity in words and answers drawn anew
    rows = [
        row for seed in range(IDENTITY_REPEATS) for row in identity_rows(name, author, seed=seed)
    ]
    _write(identity, rows)
    random_ = random.Random(0)
    _write(general, joined(random_.sample(general_rows(seed=1), GENERAL_ROWS), random_))
    tree: dict[str, Any] = {
        "model.path": str(MODEL_FOLDER),
        "data.train": [{"path": str(identity)}, {"path": str(general)}],
        "training.output_dir": str(folder),
    }
    overrides = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in tree.items()]
    return load_config(None, [*overrides, *SETTINGS])


def _folder(output: Path, name: str) -> Path:
    """A folder for this name that is not there yet."""
    folder = output / (re.sub(r"[^\w-]+", "-", name).strip("-") or "model")
    return free_sibling(folder) if folder.exists() else folder


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")


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
