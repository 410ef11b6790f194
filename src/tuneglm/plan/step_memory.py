"""A step of training, run on tensors that hold nothing: what it would hold, and compute.

The model is made of config.json, the method is applied to it, and the stage's own
loss goes forward and back. Layers that are alike are run twice or three times, and
the rest follows on a line.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from accelerate.utils.operations import convert_outputs_to_fp32
from torch import Tensor, nn

from tuneglm.errors import ModelError
from tuneglm.methods import tune
from tuneglm.methods.tuned import Tuned
from tuneglm.models.attention import WHOLE, keep_rows_apart, restarting
from tuneglm.models.float16 import compute_in_float16
from tuneglm.models.quantization import is_quantized
from tuneglm.models.segments import Segments
from tuneglm.models.skeleton import layers_of
from tuneglm.models.weightless import as_if_on_cpu, empty_model, has_equal_layers
from tuneglm.plan.alike import attend_alike, few_parts, of_few_lengths
from tuneglm.plan.batch_shape import Batch
from tuneglm.plan.experts import experts_without_data
from tuneglm.plan.ledger import Ledger, Peak, empty_like_all, fake_mode
from tuneglm.plan.step import FUSED, Step
from tuneglm.stages.question import Question
from tuneglm.stages.sft import Way, said_at, summed_loss
from tuneglm.stages.trainer import evaluating


@dataclass(frozen=True)
class StepMemory:
    """What a step holds and computes.

    peaks       phase → its fullest moment
    operations  floating-point operations of matrix products, forward and back
    moved       bytes read and written by all else
    """

    peaks: Mapping[str, Peak]
    operations: float
    moved: float

    @property
    def fullest(self) -> Peak:
        """The fullest moment of all."""
        return max(self.peaks.values(), key=lambda peak: peak.total)

    @property
    def kept_apart(self) -> float:
        """The most that small and large blocks take, where small ones are not given back."""
        peaks = self.peaks.values()
        return max(peak.small for peak in peaks) + max(peak.large for peak in peaks)


def step_memory(step: Step) -> StepMemory:
    """What a step would hold; raises ModelError for a network that does not run without data."""
    with _refusals(step):
        model = empty_model(step.folder, step.family, step.placement)
        count = len(layers_of(model))
        fewest = _layers_unlike(step) + 1
        if not has_equal_layers(model) or count <= fewest + 1:
            return _run(step, None)
        return _extended(_run(step, fewest), _run(step, fewest + 1), count - fewest)


def _layers_unlike(step: Step) -> int:
    """Layers that the method treats otherwise than the rest."""
    return abs(getattr(step.config.method, "layers", 0)) + 1


def _extended(fewer: StepMemory, more: StepMemory, times: int) -> StepMemory:
    """From two numbers of layers, one apart, to `times` layers more than the fewer have."""
    peaks = {
        phase: peak.beyond(more.peaks[phase], times)
        for phase, peak in fewer.peaks.items()
        if phase in more.peaks
    }
    return StepMemory(
        peaks,
        fewer.operations + times * (more.operations - fewer.operations),
        fewer.moved + times * (more.moved - fewer.moved),
    )


@contextmanager
def _refusals(step: Step) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, NotImplementedError, TypeError, IndexError) as error:
        reason = " ".join(str(error).split())[:100]
        raise ModelError(
            f"The memory of `{step.config.model.path}` cannot be told beforehand: without weights "
            f"it stops with “{reason}”.",
            "memory_check=off trains without asking",
        ) from None


def _run(step: Step, layers: int | None) -> StepMemory:
    """A step with all layers, or the first ones only."""
    model = empty_model(step.folder, step.family, step.placement, layers)
    stack = list(layers_of(model))
    if torch.float16 in (step.placement.dtype, step.computed_in):
        compute_in_float16(model)
    is_causal = step.family.place_rows is restarting
    if step.portion.packed:
        keep_rows_apart(model, step.family.place_rows)
    elif is_causal and not step.portion.padded and model.config._attn_implementation == "sdpa":
        # transformers looks at the values of a padding mask for this, of which there are none here
        model.set_attn_implementation(WHOLE)
    if step.arguments.gradient_checkpointing:
        model.enable_input_require_grads()
    made = tune(model, step.config.method, step.family)
    tuned = made.model
    with fake_mode(), experts_without_data():
        as_if_on_cpu(tuned)
        ledger = Ledger(model.config.get_text_config().vocab_size)
        with ledger:
            _put_down_weights(ledger, tuned, is_quantized(model))
            trained = [each for each in tuned.parameters() if each.requires_grad]
            states = empty_like_all(trained, step.state_bytes)
            ledger.hold(states, "optimizer")
            _mark_phases(ledger, model, stack, trained)
            _prepare(step, tuned)
            _train(step, made, model, ledger, trained)
            ledger.phase = "optimizer"
            in_passing = _beside_states(step, trained)
            del in_passing
            for weight in trained:
                weight.grad = None
            _evaluate(step, made, model, ledger)
            del states
    return StepMemory(dict(ledger.peaks), ledger.operations, ledger.moved)


def _put_down_weights(ledger: Ledger, model: nn.Module, quantized: bool) -> None:
    ledger.hold(model.buffers(), "weights")
    for weight in model.parameters():
        is_packed = not weight.is_floating_point()
        ledger.hold([weight], "trained" if weight.requires_grad else "weights")
        if is_packed and quantized:
            ledger.hold(_constants(weight), "quantization")


def _constants(weight: Any) -> list[Tensor]:
    """What bitsandbytes keeps beside a weight's bytes."""
    state = getattr(weight, "quant_state", None)
    if state is not None:
        return [state.absmax, state.state2.absmax, state.state2.code, state.code]
    scales = getattr(weight, "SCB", None)
    return [] if scales is None else [scales]


def _mark_phases(
    ledger: Ledger, model: Any, stack: list[nn.Module], trained: list[nn.Parameter]
) -> None:
    """Tell the ledger when the head begins, and when the way back reaches each layer."""

    def begins(phase: str) -> Callable[..., None]:
        def set_phase(*_: Any) -> None:
            ledger.phase = phase

        return set_phase

    def reached(from_top: int) -> Callable[..., None]:
        def watch(module: nn.Module, args: Any, output: Any) -> None:
            states = output[0] if isinstance(output, tuple) else output
            if states.requires_grad:
                states.register_hook(begins(f"back {from_top}"))

        return watch

    model.get_output_embeddings().register_forward_pre_hook(begins("loss"))
    for from_top, layer in enumerate(reversed(stack)):
        layer.register_forward_hook(reached(from_top))
    stack[0].register_full_backward_hook(begins("back to the embeddings"))
    for weight in trained:
        weight.register_post_accumulate_grad_hook(
            lambda each: ledger.hold([each.grad], "gradients")
        )


def _prepare(step: Step, tuned: Any) -> None:
    """As the Trainer and accelerate do."""
    tuned.train()
    if step.arguments.gradient_checkpointing:
        tuned.gradient_checkpointing_enable(
            gradient_checkpointing_kwargs=step.arguments.gradient_checkpointing_kwargs
        )
    if step.computed_in is not None:
        forward = torch.autocast("cpu", step.computed_in)(tuned.forward)
        tuned.forward = convert_outputs_to_fp32(forward)


def _train(
    step: Step, made: Tuned, model: Any, ledger: Ledger, trained: list[nn.Parameter]
) -> None:
    """A portion forward and back; of several the second, beside the gradients of the first."""
    if step.portions > 1:
        for weight in trained:
            weight.grad = torch.empty_like(weight)
            ledger.hold([weight.grad], "gradients")
    ledger.operations = ledger.moved = 0.0
    ledger.phase = "forward"
    _loss(step, made, model, step.portion, ledger).backward()


def _evaluate(step: Step, made: Tuned, model: Any, ledger: Ledger) -> None:
    if step.evaluation is None:
        return
    done = ledger.operations, ledger.moved
    ledger.phase = "evaluation"
    made.model.eval()
    with torch.no_grad():
        _loss(step, made, model, step.evaluation, ledger)
    ledger.operations, ledger.moved = done


def _loss(step: Step, made: Tuned, model: Any, batch: Batch, ledger: Ledger) -> Tensor:
    """The stage's; where it is held to the base, as if on all rows."""
    tuned, way = made.model, Way.of(model)
    question = Question(
        torch.zeros(batch.rows, batch.trained, dtype=torch.int64),
        smoothing=step.arguments.label_smoothing_factor,
        whole=True,
        choose=partial(few_parts, ledger),
    )
    positions, inputs = torch.zeros(batch.trained, dtype=torch.int64), _inputs(step, batch)
    if step.config.stage.kl and made.base is not None and tuned.training:
        with torch.no_grad(), made.base(), evaluating(tuned):
            question.base = said_at(tuned, inputs, positions, way).flatten(0, 1)
        question.kl = step.config.stage.kl
    return summed_loss(tuned, inputs, positions, question, way) / 1000


def _inputs(step: Step, batch: Batch) -> dict[str, Any]:
    """A batch as the collator makes it; what would be read off the ids is given beside them."""
    ids = torch.zeros(batch.rows, batch.length, dtype=torch.int64)
    inputs: dict[str, Any] = {"input_ids": ids}
    positions = step.family.context_positions(torch.arange(batch.length))
    if batch.packed:
        sees_itself = step.family.place_rows is not restarting
        lengths = of_few_lengths(batch.packed)
        contexts = tuple(length // 2 if sees_itself else 0 for length in lengths)
        inputs["segments"] = Segments(lengths, contexts, attend_alike)
        inputs["attention_mask"] = ids.new_empty((1, 1, 0, 0))
        inputs["position_ids"] = positions
    else:
        if batch.padded:
            inputs["attention_mask"] = torch.ones_like(ids)
        if positions.ndim > ids.ndim:
            inputs["position_ids"] = positions.expand(batch.rows, *positions.shape[1:])
    return inputs


def _beside_states(step: Step, trained: list[nn.Parameter]) -> list[Tensor]:
    """What the optimizer makes in passing: one weight's worth, or on a GPU all weights'."""
    if step.optimizer in FUSED or not trained:
        return []
    if step.device.type == "cuda":
        return empty_like_all(trained, 4)
    return empty_like_all([max(trained, key=lambda each: each.numel())], 8)
