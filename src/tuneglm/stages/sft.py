"""Supervised fine-tuning: cross entropy on the tokens of the answers.

Logits are computed only where a token is predicted that is trained. With a
vocabulary of 65,000 or 151,000 they are the largest tensor of a step, and of an
instruction set about half of the positions are prompt.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import SequentialSampler
from transformers import TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler

from tuneglm.config import SftConfig
from tuneglm.data.batches import Batches
from tuneglm.data.collate import HELD, PLACES, REPLAY, Collator, Item
from tuneglm.data.encoded import UNTRAINED, lengths_of
from tuneglm.errors import ModelError
from tuneglm.methods.tuned import Tuned
from tuneglm.models.attention import keeps_rows_apart
from tuneglm.stages.apart import check_rows_apart
from tuneglm.stages.arguments import refusals
from tuneglm.stages.head_loss import (
    asked_for_loss,
    asked_for_states,
    head_of,
    shares_memory,
)
from tuneglm.stages.kinds import (
    kinds_of,
    losses_by_kind,
    row_of_tokens,
    rows_in,
    sums_by_kind,
)
from tuneglm.stages.kl import summed_kl
from tuneglm.stages.portions import tokens_at_once
from tuneglm.stages.question import Question
from tuneglm.stages.trainer import StageTrainer, evaluating
from tuneglm.stages.watch import SourcedCollator


def trainer(
    tuned: Tuned,
    tokenizer: Any,
    batches: Batches,
    arguments: TrainingArguments,
    stage: SftConfig,
) -> StageTrainer:
    """The Trainer with this stage's loss.

    Raises ModelError where packed rows would see each other.
    """
    pad = tokenizer.pad_token_id
    packed = batches.packed or (batches.packed is None and keeps_rows_apart(tuned.model))
    collator = Collator(tokenizer.eos_token_id if pad is None else pad, packed)
    with refusals():
        made = SftTrainer(
            tuned,
            stage.kl,
            batches.at_once or max(tokens_at_once(arguments.device), batches.longest),
            args=arguments,
            data_collator=collator,
            train_dataset=batches.train,
            eval_dataset=batches.evaluation,
            processing_class=tokenizer,
        )
    if made.sharing.kind == "copies" and arguments.world_size > 1:
        made.look_at_head(next(iter(batches.train)))
    if batches.packed is None and packed:
        try:
            check_rows_apart(made, batches.train)
        except ModelError:
            # nobody asked for it
            made.data_collator = SourcedCollator(replace(collator, packed=False))
    # of a model that is divided among processes, only the first one has the weights yet
    elif packed and made.is_world_process_zero():
        check_rows_apart(made, batches.train)
    return made


@dataclass
class Way:
    """How a network is asked for its loss.

    keeps  whether it computes logits only where it is asked to
    head   its head, where that can give the loss itself; None: the logits are made
    known  whether it was seen that nothing is done to what the head gives
    """

    keeps: bool
    head: nn.Linear | None
    known: bool = False

    def hands_on(self, logits: Tensor, total: Tensor) -> bool:
        """Whether what a network gave is what its head did: what is around it may copy that."""
        if logits.shape != total.shape:
            return False
        if not self.known and not shares_memory(logits, total):
            same = bool(logits == total)
            # of nothing a network that scales makes nothing, too
            self.known = same and bool(total != 0)
            return same
        return True

    @classmethod
    def of(cls, network: Any) -> "Way":
        """Of a network that is not wrapped for several processes yet."""
        return cls(keeps_logits(network), head_of(network))


def keeps_logits(network: Any) -> bool:
    """Whether a network computes logits only where it is asked to."""
    network = network.get_base_model() if isinstance(network, PeftModel) else network
    return "logits_to_keep" in inspect.signature(network.forward).parameters


def summed_loss(
    model: Any, inputs: Mapping[str, Any], positions: Tensor, question: Question, way: Way
) -> Tensor:
    """The sum that goes down; the cross entropies are in `question.losses` afterwards.

    positions  those whose next token is trained in some row
    question   of (rows, positions); what it says of a base is left to this function
    """
    if way.head is not None:
        with asked_for_loss(way.head, question, None if way.keeps else positions):
            logits = _logits(model, inputs, positions, way.keeps)
        assert question.total is not None
        if way.hands_on(logits, question.total):
            return logits
        # a network that scales or caps what the head gives
        way.head = None
    logits = logits_at(model, inputs, positions, way.keeps)
    losses = cross_entropy(
        logits.flatten(0, 1).float(),
        question.targets.flatten(),
        ignore_index=UNTRAINED,
        reduction="none",
        label_smoothing=question.smoothing,
    ).view_as(question.targets)
    question.losses = losses.detach()
    counted = losses if question.counted is None else losses[question.counted]
    if question.base is None:
        return counted.sum()
    held = logits.flatten(0, 1) if question.held is None else logits[question.held]
    return counted.sum() + question.kl * summed_kl(held, question.base)


def logits_at(model: Any, inputs: Mapping[str, Any], positions: Tensor, keeps: bool) -> Tensor:
    """(rows, positions, vocabulary): made nowhere else where the network `keeps` logits."""
    logits = _logits(model, inputs, positions, keeps)
    return logits if keeps else logits[:, positions]


def _logits(model: Any, inputs: Mapping[str, Any], positions: Tensor, keeps: bool) -> Tensor:
    asked = {"logits_to_keep": positions} if keeps else {}
    logits: Tensor = model(**inputs, **asked, use_cache=False).logits
    return logits


def said_at(model: Any, inputs: Mapping[str, Any], positions: Tensor, way: Way) -> Tensor:
    """(rows, positions, …): what `Question.base` wants of a base, the head's input or logits."""
    if way.head is not None:
        with asked_for_states(way.head, None if way.keeps else positions) as given:
            states = _logits(model, inputs, positions, way.keeps)
        if shares_memory(states, given[-1]):
            return states
        way.head = None
    return logits_at(model, inputs, positions, way.keeps)


class SftTrainer(StageTrainer):
    """The Trainer with a loss summed over an accumulated batch's trained tokens, divided once.

    So four rows at a time and four times one row give the same gradient, whatever
    the rows' lengths, and so do two processes and one.
    """

    def __init__(
        self, tuned: Tuned, kl: float = 0.0, at_once: int | None = None, **arguments: Any
    ) -> None:
        super().__init__(tuned, at_once, **arguments)
        self._kl = kl
        # from what a base says, too, blind guesses are at most so far
        self._watch.blind *= 1 + kl
        # the Trainer then counts the trained tokens of the whole accumulated batch for us
        self.model_accepts_loss_kwargs = True
        self._way = Way.of(self.accelerator.unwrap_model(self.model))
        evaluated: Any = self.eval_dataset or ()
        self._kinds = kinds_of(evaluated)
        self._held: list[Tensor] = []

    def look_at_head(self, item: Item) -> None:
        """Find out by a row whether the network hands on what its head gives.

        Several processes cannot run a step twice, as one does that finds it out in the first.
        """
        row = item[0] if isinstance(item, tuple) else item
        batch = {"input_ids": torch.tensor([row.input_ids], device=self.args.device)}
        network: Any = self.model
        with torch.no_grad(), evaluating(network), self.compute_loss_context_manager():
            said_at(network, batch, torch.tensor([0], device=self.args.device), self._way)

    def create_optimizer(self, *arguments: Any, **named: Any) -> Any:
        """The Trainer's own; arguments that the optimizer does not take are a ConfigError."""
        with refusals():
            return super().create_optimizer(*arguments, **named)

    def create_scheduler(self, *arguments: Any, **named: Any) -> Any:
        """The Trainer's own; arguments that the schedule does not take are a ConfigError."""
        with refusals():
            return super().create_scheduler(*arguments, **named)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """The Trainer's own, but for `group_by_length`, for which it would need rows as dicts."""
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        return LengthGroupedSampler(
            self.args.train_batch_size * self.args.gradient_accumulation_steps,
            lengths=lengths_of(rows).tolist(),
        )

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        """The order of evaluation changes nothing: as the file has it."""
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_eval_sampler(eval_dataset)
        return SequentialSampler(eval_dataset)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Mean cross entropy of the trained tokens of the whole accumulated batch.

        While training, the distance from the base is added on the answers of replay rows; on
        those that are only held it stands alone.
        """
        inputs = dict(inputs)
        replay, places = inputs.pop(REPLAY, None), inputs.pop(PLACES, None)
        targets = inputs.pop("labels")[:, 1:]
        positions = (targets != UNTRAINED).any(dim=0).nonzero().squeeze(1)
        targets = targets[:, positions]
        is_trained = targets != UNTRAINED
        question = Question(
            targets, smoothing=self.args.label_smoothing_factor, whole=len(targets) == 1
        )
        if self._kl and model.training:
            replay = None if replay is None else replay[:, 1:][:, positions]
            self._ask_base(inputs, positions, replay, question)
        with self._below(places):
            total = summed_loss(model, inputs, positions, question, self._way)
        if not model.training:
            assert question.losses is not None
            kinds = [self._kinds.index(kind) for kind in self._watch.sources.kinds]
            row = row_of_tokens(inputs, positions + 1)
            count, kinds = max(1, len(self._kinds)), kinds or [0] * rows_in(inputs)
            self._hold(sums_by_kind(question.losses, is_trained, row, kinds, count))
        if num_items_in_batch is None:
            loss = total / is_trained.sum()
        else:
            loss = total / num_items_in_batch
            if self.args.average_tokens_across_devices:
                # gradients are averaged over the processes, the tokens were counted over all
                loss = loss * self.accelerator.num_processes
        return (loss, {}) if return_outputs else loss

    def _ask_base(
        self,
        inputs: Mapping[str, Tensor],
        positions: Tensor,
        replay: Tensor | None,
        question: Question,
    ) -> None:
        """Say in a question what the base says where rows are held to it.

        The base computes the rows and positions that need it; where weights are shared out,
        all processes have to come along, so at least one.
        """
        is_trained = question.targets != UNTRAINED
        held = torch.zeros_like(is_trained)
        if replay is not None:
            held = (replay > 0) & is_trained
            question.counted = is_trained & (replay != HELD)
        rows, some = held.any(1), held.any(0)
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            rows[0] = some[0] = True
        if not rows.any():
            return
        assert self.tuned.base is not None, "methods are asked for it before the model is loaded"
        chosen = {name: each[rows] for name, each in inputs.items()}
        network: Any = self.accelerator.unwrap_model(self.model)
        with torch.no_grad(), self.tuned.base(), evaluating(network):
            said = said_at(network, chosen, positions[some], self._way)
        question.base, question.held = said[held[rows][:, some]], held
        question.kl = self._kl

    def _hold(self, sums: Tensor) -> None:
        """Keep an evaluation batch's losses and tokens, (rows, kinds, 2), of all processes.

        What a process was given only to keep step with the others is left out: that is
        counted in what the batch was put together from, which is one group, or rows.
        """
        if self.args.eval_batch_size == 1 and len(sums) > 1:
            sums = sums.sum(0, keepdim=True)
        self._held.append(self.accelerator.gather_for_metrics(sums).sum(0).cpu().double())

    def evaluation_loop(self, *arguments: Any, **named: Any) -> Any:
        """The Trainer's own, with the loss as in training: the mean over all trained tokens."""
        self._held.clear()
        output = super().evaluation_loop(*arguments, **named)
        metrics = output.metrics or {}
        for name in [name for name in metrics if name.endswith("_loss") and self._held]:
            sums = sum(self._held[1:], self._held[0])
            loss, tokens = sums.sum(0).tolist()
            metrics[name] = loss / tokens
            metrics.update(losses_by_kind(sums, self._kinds, name))
        return output
