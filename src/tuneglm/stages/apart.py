"""A look before training on packed rows: does a row see its neighbour after all?

Any model that transformers knows may be tuned, and what keeps rows apart lies in
its attention. A layer that passes it by (a state that runs on, a convolution over
tokens, a mask of its own) would learn from mixed rows without a word.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer

from tuneglm.data.collate import REPLAY, Item, concatenate
from tuneglm.data.encoded import Encoded
from tuneglm.errors import ModelError
from tuneglm.models.float16 import computes_in_float16

LOOKED_AT = 64  # groups, of whose rows two short ones are taken


def check_rows_apart(trainer: Trainer, groups: Iterable[Item]) -> None:
    """Raises ModelError where a packed row's logits are not those of the row alone."""
    if trainer.is_deepspeed_enabled:
        return  # its weights may lie in parts, before the first step
    rows = [row for group in islice(groups, LOOKED_AT) for row in _rows(group)]
    first, second = (sorted(rows, key=lambda row: row.length) * 2)[:2]
    model: Any = trainer.model
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), trainer.compute_loss_context_manager():
            alone = _logits(trainer, [second], packed=False)
            packed = _logits(trainer, [first, second], packed=True)[:, first.length :]
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise _seen(f"it stops with “{' '.join(str(error).split())[:100]}”") from None
    finally:
        model.train(was_training)
    dtype = torch.float16 if computes_in_float16(model) else alone.dtype
    if not _alike(packed, alone, dtype):
        raise _seen("in this model a row sees the one before it")


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


def _alike(one: Tensor, other: Tensor, dtype: torch.dtype) -> bool:
    """Equal but for rounding: to half of the digits that the type of the products has."""
    difference = (one.float() - other.float()).abs().max()
    return bool(difference <= torch.finfo(dtype).eps ** 0.5 * other.float().abs().max())


def _seen(reason: str) -> ModelError:
    return ModelError(
        f"Rows cannot be packed for this model: {reason}.", "take data.batching=length_grouped"
    )
