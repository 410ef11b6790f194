"""A look before training on packed rows: does a row see its neighbour after all?

Any model that transformers knows may be tuned, and what keeps rows apart lies in
its attention. A layer that passes it by (a state that runs on, a convolution over
tokens, a mask of its own) would learn from mixed rows without a word.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer

from tuneglm.data.collate import REPLAY, Item, concatenate
from tuneglm.data.encoded import Encoded
from tuneglm.errors import ModelError
from tuneglm.models.float16 import computes_in_float16
from tuneglm.models.quantization import held_bits, is_quantized

LOOKED_AT = 64  # groups, of whose rows two short ones are taken
# of the largest logit: 28 layers in 4 bits were found to differ by more than 0.09 of it
ROUGHLY = 0.3


def check_rows_apart(trainer: Trainer, groups: Iterable[Item]) -> None:
    """Raises ModelError where a packed row's logits depend on its neighbour, or are not its own.

    Two packs of like lengths are computed by the same kernels, so that what differs is
    what was seen. The row alone may go through others: in half precision and few bits
    their rounding grows from layer to layer.
    """
    if trainer.is_deepspeed_enabled:
        return  # its weights may lie in parts, before the first step
    rows = [row for group in islice(groups, LOOKED_AT) for row in _rows(group)]
    first, second = (sorted(rows, key=lambda row: row.length) * 2)[:2]
    other = replace(first, input_ids=list(first.input_ids)[::-1])
    model: Any = trainer.model
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), trainer.compute_loss_context_manager():
            alone = _logits(trainer, [second], packed=False)
            packed, beside_other = (
                _logits(trainer, [neighbour, second], packed=True)[:, first.length :]
                for neighbour in (first, other)
            )
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise _seen(f"it stops with “{' '.join(str(error).split())[:100]}”") from None
    finally:
        model.train(was_training)
    dtype = torch.float16 if computes_in_float16(model) else alone.dtype
    # half of the digits that the type of the products has
    rounding = torch.finfo(dtype).eps ** 0.5
    # bitsandbytes chooses for all tokens together which columns it leaves out of the 8 bits
    _check_alike(
        packed,
        beside_other,
        ROUGHLY if held_bits(model) == 8 else rounding,
        "in this model a row sees the one before it",
    )
    _check_alike(
        packed,
        alone,
        ROUGHLY if dtype.itemsize == 2 or is_quantized(model) else rounding,
        "in this model a packed row is not computed as the row alone",
    )


def _rows(item: Item) -> tuple[Encoded, ...]:
    return item if isinstance(item, tuple) else (item,)


def _logits(trainer: Trainer, rows: Sequence[Encoded], packed: bool) -> Tensor:
    model: Any = trainer.model
    batch = {name: each.to(trainer.args.device) for name, each in concatenate(rows).items()}
    batch.pop(REPLAY, None)
    for name in ("labels",) if packed else ("labels", "row_lengths"):
        del batch[name]
    logits: Tensor = model(**batch, use_cache=False).logits
    return logits


def _check_alike(one: Tensor, other: Tensor, allowed: float, reason: str) -> None:
    """Raises ModelError where two differ by more than a share of the largest, or are no numbers."""
    difference = float((one.float() - other.float()).abs().max() / other.float().abs().max())
    if not difference <= allowed:
        raise _seen(f"{reason} (its logits differ by {difference:.2g} of the largest)")


def _seen(reason: str) -> ModelError:
    return ModelError(
        f"Rows cannot be packed for this model: {reason}.", "take data.batching=length_grouped"
    )
