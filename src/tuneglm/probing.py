"""Probing: the model is asked questions before, while and after it is tuned.

before    of the base, and the evaluation loss of the base
while     at each evaluation; the share of right answers is `eval_probe`, by which the best
          checkpoint is chosen, and the training ends when twice nothing was left to reach
after     of the result: what changed, in the terminal and in OUTPUT/probe.json
"""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from rich.console import Console
from transformers import TrainerCallback

from tuneglm.checkpoints import PROBE_FILE
from tuneglm.config import ChatConfig, ProbeConfig, RunConfig
from tuneglm.data.identity_files import probes_about
from tuneglm.data.probes import OTHER, Probe, read_probes, some_of_each
from tuneglm.errors import ConfigError
from tuneglm.generate import ChatModel
from tuneglm.manifest import write_whole
from tuneglm.reports.probes import Asked, ProbeReport, print_probes, right_text
from tuneglm.stages.arguments import has_probes
from tuneglm.stages.trainer import StageTrainer, evaluating

LOSS, METRIC = "eval_loss", "eval_probe"
# of two checkpoints that answer alike the one with the lower loss is kept
LESS_THAN_AN_ANSWER = 1e-4
# an answer on other things with a name that is not asked for costs as much as so many right ones
LEAK = 3
# so many evaluations with every answer right end a run: what was answered once, barely, in the
# probes' words is not always answered in others
TIMES = 2


def probes_of(config: RunConfig) -> list[Probe]:
    """The questions of a run; raises a UserError where a file of them cannot be read."""
    if not has_probes(config):
        return []
    identity = config.data.identity
    own = []
    if identity is not None:
        own = probes_about(identity.name, identity.author, identity.languages)
    return own + [probe for file in config.probe.files for probe in read_probes(Path(file))]


class Probing(TrainerCallback):
    """Asks, and ends the training when all is answered; does nothing without questions."""

    def __init__(
        self,
        terminal: Console,
        config: ProbeConfig,
        probes: Sequence[Probe],
        chat: ChatModel,
        trainer: StageTrainer,
    ) -> None:
        self.terminal, self.config, self.probes = terminal, config, list(probes)
        self.chat, self.trainer = chat, trainer
        self.before: list[str] = []
        self.base_loss: float | None = None
        self.learnt: list[int] = []  # steps after which all was as it should be
        self._looks_at_base = False
        if probes and (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
            raise ConfigError(
                "Questions are asked while it trains, and the weights are shared out among "
                "processes.",
                "train without FSDP and DeepSpeed, or ask the result later: leave data.identity "
                "and probe.files out",
            )

    @property
    def file(self) -> Path:
        """What is written down beside the result."""
        return Path(str(self.trainer.args.output_dir)) / PROBE_FILE

    @property
    def is_learnt(self) -> bool:
        """Whether nothing is left to reach, and the run is to end then."""
        return self.config.stop and len(self.learnt) >= TIMES

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask the base; a run that goes on has it written down."""
        if not self.probes:
            return
        if state.global_step > 0:
            if self._reads_on(state.global_step):
                control.should_training_stop |= self.is_learnt
                return
            if self.trainer.tuned.base is None:
                self._go_on_without_base()
                return
        with self._base():
            self.before = self._ask(self.probes)
            if self.trainer.eval_dataset is not None:
                self._looks_at_base = True
                self.base_loss = self.trainer.evaluate()[LOSS]
                self._looks_at_base = False
        self._write(self._report(self.before))

    def _reads_on(self, step: int) -> bool:
        """Whether what the base said, and what was learnt until this step, is written down."""
        try:
            written = json.loads(self.file.read_text(encoding="utf-8"))
            answers, loss = written["answers"], written["loss"]["before"]
            before = [each["before"] for each in answers]
            is_of_these = [each["question"] for each in answers] == self._questions()
            # what came after the checkpoint that it goes on from is done again
            learnt = [each for each in written["learnt"] if each <= step]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if is_of_these:
            self.before, self.base_loss, self.learnt = before, loss, learnt
        return is_of_these

    def _go_on_without_base(self) -> None:
        """Nobody can be asked any more: the weights that are trained are the base's own."""
        self.before = [""] * len(self._questions())
        if self.trainer.is_world_process_zero():
            self.terminal.print(
                f"[yellow]Note[/] What the model answered before it was tuned is not known any "
                f"more: `{self.file.name}` is not there, not whole or of other questions."
            )

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any
    ) -> None:
        """Ask, say how many are right, and end where nothing is left to reach."""
        if not self.probes or self._looks_at_base or metrics is None:
            return
        some = some_of_each(self.probes, self.config.questions)
        asked = self._asked(some, self._ask(some))
        right = sum(each.is_right for each in asked) / len(asked)
        loss = metrics.get(LOSS)
        above = 0.0 if loss is None or self.base_loss is None else max(0.0, loss - self.base_loss)
        # of two that know as much, the one that forgot less
        leaks = sum(each.probe.asks == OTHER and not each.is_right for each in asked)
        answered = right - (LEAK - 1) * leaks / len(asked)
        metrics[METRIC] = answered - above - LESS_THAN_AN_ANSWER * (loss or 0.0)
        if state.is_world_process_zero:
            self.terminal.print(f"Asked at step {state.global_step}: {right_text(asked)}")
        if right == 1 and above == 0 and loss is not None and self.trainer.is_of_result:
            self.learnt.append(state.global_step)
            self._write(self._report(self.before))
        control.should_training_stop |= self.is_learnt

    def finish(self) -> ProbeReport | None:
        """Ask the result, show what changed and write it down."""
        if not self.probes:
            return None
        report = self._report(self._ask(self.probes), self._last_loss())
        self._write(report)
        if self.trainer.is_world_process_zero():
            print_probes(self.terminal, report)
        return report

    def _base(self) -> Any:
        return nullcontext() if self.trainer.tuned.base is None else self.trainer.tuned.base()

    def _questions(self) -> list[str]:
        return [probe.question for _ in self.config.systems for probe in self.probes]

    def _ask(self, probes: Sequence[Probe]) -> list[str]:
        """Answers to all, behind each system line in turn; each process asks its part."""
        turns = [(system, probe) for system in self.config.systems for probe in probes]
        rank, count = self.trainer.args.process_index, self.trainer.args.world_size
        mine = [_conversation(system, probe) for system, probe in turns[rank::count]]
        config = ChatConfig(temperature=0, max_new_tokens=self.config.max_new_tokens)
        with evaluating(self.trainer.model):
            answers = self.chat.padded_replies(mine, config)
        if count == 1:
            return answers
        given = gather_object([(rank + count * i, text) for i, text in enumerate(answers)])
        return [text for _, text in sorted(given)]

    def _asked(self, probes: Sequence[Probe], after: Sequence[str]) -> list[Asked]:
        turns = [(system, probe) for system in self.config.systems for probe in probes]
        return [
            Asked(probe, system, "", answer)
            for (system, probe), answer in zip(turns, after, strict=True)
        ]

    def _report(self, after: Sequence[str], loss: float | None = None) -> ProbeReport:
        asked = self._asked(self.probes, after)
        pairs = zip(asked, self.before, strict=True)
        answers = [replace(each, before=before) for each, before in pairs]
        return ProbeReport(answers, self.base_loss, loss, self.learnt)

    def _last_loss(self) -> float | None:
        """The evaluation loss of what is in memory: of the best checkpoint, or the last one."""
        state = self.trainer.state
        logged = state.log_history
        found: dict[Any, float] = {each["step"]: each[LOSS] for each in logged if LOSS in each}
        best = state.best_global_step if self.trainer.args.load_best_model_at_end else None
        return found.get(best, list(found.values())[-1]) if found else None

    def _write(self, report: ProbeReport) -> None:
        if self.trainer.is_world_process_zero():
            write_whole(self.file, report.as_json())


def _conversation(system: str, probe: Probe) -> list[dict[str, str]]:
    asked = {"role": "user", "content": probe.question}
    return [{"role": "system", "content": system}, asked] if system else [asked]
