"""Where the time of a step or of a token goes, on the processor, by kind of work.

    python benchmarks/training_profile.py [--only WORD] [--steps N] [--data FILE]

`tuneglm train` on the shapes of training_shapes.py, and answers of their models, looked at by
torch's profiler after some steps, or an answer, that warm up. What is counted is an operation's
own time; what it lasted beyond all of them is Python's, with what torch does between two
operations, and the profiler's own part, which the many small ones of an answer make larger.
"""

import argparse
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from decoding_contenders import NEW_TOKENS, QUESTIONS
from machine import machine, machine_words
from torch.profiler import ProfilerActivity, profile
from training_shapes import SHAPES, material

WARM = 3  # steps before it is looked at
# the first whose expression finds an operation's name takes it
KINDS = {
    "products": r"(^|::)(mm|addmm|addmm_|bmm|baddbmm|_linear_pointwise|linear|matmul"
    r"|linear_dynamic_fp16)$",
    "attention": r"scaled_dot_product|flash_attention|_attention",
    "softmax and loss": r"softmax|log|exp|nll|gather|scatter|logsumexp|amax|index_select",
    "the optimizer": r"Optimizer|adam|_foreach|lerp|addcdiv",
    "passes over norms, gates, sums": r"mul|add|sub|div|sum|norm|silu|gelu|sqrt|pow|copy|cat|neg|"
    r"fill|zero|mean|sigmoid|tanh|where|clamp",
}
REST = "torch and Python"
WORKS = {
    "LoRA, A": ("A", "method=lora"),
    "LoRA, B": ("B", "method=lora"),
    "LoRA, C": ("C", "method=lora"),
    "freeze, A": ("A", "method=freeze", "method.frozen_states=off"),
    "P-tuning, A": ("A", "method=p_tuning"),
    "full, A": ("A", "method=full"),
}
# answers at once
ANSWERS = {"one answer, A": ("A", 1), "eight answers, A": ("A", 8)}


class Looked:
    """A run's steps after those that warm up, or what is done `within`."""

    def __init__(self, steps: int = 0) -> None:
        self.steps, self.seconds = steps, 0.0
        self.profile = profile(activities=[ProfilerActivity.CPU])
        self._done, self._began = 0, 0.0

    def step(self) -> None:
        """At the end of each step."""
        self._done += 1
        if self._done == WARM:
            self._begin()
        elif self._done == WARM + self.steps:
            self._end()

    @contextmanager
    def within(self) -> Iterator[None]:
        """What is done within it."""
        self._begin()
        yield
        self._end()

    def _begin(self) -> None:
        self.profile.start()
        self._began = time.perf_counter()

    def _end(self) -> None:
        self.seconds = time.perf_counter() - self._began
        self.profile.stop()

    def shares(self) -> dict[str, float]:
        """Of the steps' time, by kind."""
        found = Counter[str]()
        for event in self.profile.key_averages():
            found[kind_of(event.key)] += event.self_cpu_time_total / 1e6
        named = {kind: found[kind] / self.seconds for kind in KINDS}
        return named | {REST: 1 - sum(named.values())}


def kind_of(name: str) -> str:
    """Of an operation, by its name."""
    return next((kind for kind, names in KINDS.items() if re.search(names, name)), REST)


def looked_at(work: str, steps: int, folder: Path, given: argparse.Namespace) -> dict[str, float]:
    """Train a few steps of it, and say what they did."""
    from tuneglm.config import load_config
    from tuneglm.reports.run import Progression
    from tuneglm.training import train

    folder.mkdir(parents=True)
    shape, *settings = WORKS[work]
    made = material(SHAPES[shape], folder / shape, given.data, given.tokenizers)
    looked, own = Looked(steps), Progression.on_step_end

    def on_step_end(self: Any, args: Any, state: Any, control: Any, **named: Any) -> None:
        own(self, args, state, control, **named)
        looked.step()

    Progression.on_step_end = on_step_end  # type: ignore[method-assign]
    try:
        train(
            load_config(
                None,
                [
                    f"model.path={made.model}",
                    f"data.train={made.data}",
                    "model.dtype=float32",
                    "training.bf16=false",
                    "training.save_strategy=no",
                    f"training.max_steps={WARM + steps}",
                    f"training.output_dir={folder / 'out'}",
                    *settings,
                ],
            )
        )
    finally:
        Progression.on_step_end = own  # type: ignore[method-assign]
    return looked.shares()


def answers_looked_at(work: str, folder: Path, given: argparse.Namespace) -> dict[str, float]:
    """Draw answers, and say what that did."""
    from tuneglm.config import ChatConfig
    from tuneglm.generate import ChatModel

    folder.mkdir(parents=True)
    shape, several = ANSWERS[work]
    made = material(SHAPES[shape], folder / shape, given.data, given.tokenizers)
    chat = ChatModel(made.model, dtype="float32")
    greedy = ChatConfig(temperature=0, max_new_tokens=NEW_TOKENS)
    asked = [[{"role": "user", "content": question}] for question in QUESTIONS[:several]]
    chat.padded_replies(asked, greedy)
    looked = Looked()
    with looked.within():
        chat.padded_replies(asked, greedy)
    return looked.shares()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line of shares for each work."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="works whose name holds this")
    parser.add_argument("--steps", type=int, default=8, help="that are looked at; %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="%(default)s")
    parser.add_argument("--data", type=Path, help="a JSON file of Alpaca rows")
    parser.add_argument("--tokenizers", type=Path, help="the families' folders of tokenizers")
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    about = machine(given.threads)
    print(machine_words(about))
    table: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as place:
        for work in [each for each in WORKS if given.only in each]:
            table[work] = looked_at(work, given.steps, Path(place) / work, given)
        for work in [each for each in ANSWERS if given.only in each]:
            table[work] = answers_looked_at(work, Path(place) / work, given)
    kinds = [*KINDS, REST]
    print("| | " + " | ".join(kinds) + " |")
    print("|---" * (len(kinds) + 1) + "|")
    for work, shares in table.items():
        print(f"| {work} | " + " | ".join(f"{shares[kind]:.0%}" for kind in kinds) + " |")
    if given.json:
        given.json.write_text(json.dumps({"machine": about, "shares": table}, indent=1))


if __name__ == "__main__":
    main()
