"""Supervised fine-tuning: cross entropy on the tokens of the answers.

Logits are computed only where a token is predicted that is trained. With a
vocabulary of 65,000 or 151,000 they are the largest tensor of a step, and of an
instruction set about half of the positions are prompt.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy
from torch.utils.data import SequentialSampler
from transformers import TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler

from tuneglm.config import SftConfig
from tuneglm.data.batches import Batches
from tuneglm.data.collate import HELD, REPLAY, Collator
from tuneglm.data.encoded import UNTRAINED, lengths_of
from tuneglm.methods.tuned import Tuned
from tuneglm.stages.apart import check_rows_apart
from tuneglm.stages.arguments import refusals
from tuneglm.stages.kinds import kind_of_tokens, kinds_of, losses_by_kind, sums_by_kind
from tuneglm.stages.kl import summed_kl
from tuneglm.stages.trainer import StageTrainer, evaluating


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
    collator = Collator(tokenizer.eos_token_id if pad is None else pad, batches.packed)
    with refusals():
        made = SftTrainer(
            tuned,
            stage.kl,
            args=arguments,
            data_collator=collator,
            train_dataset=batches.train,
            eval_dataset=batches.evaluation,
            processing_class=tokenizer,
        )
    # of a model that is divided among processes, only the first one has the weights yet
    if batches.packed and made.is_world_process_zero():
        check_rows_apart(made, batches.train)
    return made


def keeps_logits(network: Any) -> bool:
    """Whether a network computes logits only where it is asked to."""
    network = network.get_base_model() if isinstance(network, PeftModel) else network
    return "logits_to_keep" in inspect.signature(network.forward).parameters


def token_losses(
    model: Any,
    inputs: Mapping[str, Any],
    trained: torch.Tensor,
    targets: torch.Tensor,
    keeps: bool,
    smoothing: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross entropy of each target, (rows · positions,), 0 where it is -100; and the logits.

    trained  positions whose next token is trained in some row
    targets  (rows, positions): these next tokens
    keeps    see `keeps_logits`
    """
    logits = logits_at(model, inputs, trained, keeps)
    losses = cross_entropy(
        logits.flatten(0, 1).float(),
        targets.flatten(),
        ignore_index=UNTRAINED,
        reduction="none",
        label_smoothing=smoothing,
    )
    return losses, logits


def logits_at(
    model: Any, inputs: Mapping[str, Any], positions: torch.Tensor, keeps: bool
) -> torch.Tensor:
    """(rows, positions, vocabulary): made nowhere else where the network `keeps` logits."""
    if keeps:
        logits: torch.Tensor = model(**inputs, logits_to_keep=positions, use_cache=False).logits
        return logits
    logits = model(**inputs, use_cache=False).logits
    return logits[:, positions]


class SftTrainer(StageTrainer):
    """The Trainer with a loss summed over an accumulated batch's trained tokens, divided once.

    So four rows at a time and four times one row give the same gradient, whatever
    the rows' lengths, and so do two processes and one.
    """

    def __init__(self, tuned: Tuned, kl: float = 0.0, **arguments: Any) -> None:
        super().__init__(tuned, **arguments)
        self._kl = kl
        # the Trainer then counts the trained tokens of the whole accumulated batch for us
        self.model_accepts_loss_kwargs = True
        network = self.accelerator.unwrap_model(self.model)
        self._keeps = keeps_logits(network)
        evaluated: Any = self.eval_dataset or ()
        self._kinds = kinds_of(evaluated)
        self._held: list[torch.Tensor] = []

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
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Mean cross entropy of the trained tokens of the whole accumulated batch.

        While training, the distance from the base is added on the answers of replay rows; on
        those that are only held it stands alone.
        """
        inputs = dict(inputs)
        replay = inputs.pop(REPLAY, None)
        targets = inputs.pop("labels")[:, 1:]
        trained = (targets != UNTRAINED).any(dim=0).nonzero().squeeze(1)
        targets = targets[:, trained]
        smoothing = self.args.label_smoothing_factor
        losses, logits = token_losses(model, inputs, trained, targets, self._keeps, smoothing)
        counts = (targets != UNTRAINED).sum(1)
        total = losses.sum()
        if self._kl and model.training:
            held = torch.zeros_like(targets, dtype=torch.bool)
            if replay is not None:
                replay = replay[:, 1:][:, trained]
                held = (replay > 0) & (targets != UNTRAINED)
                total = losses[(replay != HELD).flatten()].sum()
            total = total + self._kl * self._from_base(inputs, trained, held, logits)
        if not model.training:
            kinds = [self._kinds.index(kind) for kind in self._watch.sources.kinds]
            kind = kind_of_tokens(inputs, kinds or [0] * len(targets), trained + 1)
            is_trained = targets != UNTRAINED
            losses = losses.detach().view_as(targets)
            self._hold(sums_by_kind(losses, is_trained, kind, max(1, len(self._kinds))))
        if num_items_in_batch is None:
            loss = total / counts.sum()
        else:
            loss = total / num_items_in_batch
            if self.args.average_tokens_across_devices:
                # gradients are averaged over the processes, the tokens were counted over all
                loss = loss * self.accelerator.num_processes
        return (loss, {"logits": logits}) if return_outputs else loss

    def _from_base(
        self,
        inputs: Mapping[str, torch.Tensor],
        positions: torch.Tensor,
        held: torch.Tensor,
        logits: torch.Tensor,
    ) -> torch.Tensor:
        """The distance from the base, summed where `held`, (rows, positions), is true.

        The base computes the rows and positions that need it; where weights are shared out,
        all processes have to come along, so at least one.
        """
        rows, some = held.any(1), held.any(0)
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            rows[0] = some[0] = True
        if not rows.any():
            return logits.sum() * 0
        assert self.tuned.base is not None, "methods are asked for it before the model is loaded"
        chosen = {name: each[rows] for name, each in inputs.items()}
        model: Any = self.accelerator.unwrap_model(self.model)
        with torch.no_grad(), self.tuned.base(), evaluating(model):
            base = logits_at(model, chosen, positions[some], self._keeps)
        return summed_kl(logits[held], base[held[rows][:, some]])

    def _hold(self, sums: torch.Tensor) -> None:
        """Keep an evaluation batch's losses and tokens, (rows, kinds, 2), of all processes.

        What a process was given only to keep step with the others is left out: that is
        counted in what the batch was put together from, which is one group, or rows.
        """
        if self.args.eval_batch_size == 1:
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
