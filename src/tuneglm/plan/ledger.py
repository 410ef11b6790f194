"""What tensors are in memory at a time, and how much is computed: seen operation by operation.

A Ledger watches every operation of torch within it, on true tensors or on fake
ones that hold nothing. A tensor's memory counts from the operation that made it
until Python and autograd have let it go, so what autograd saves for the way back,
what checkpointing computes anew and what one operation needs in passing is counted
as it happens; no formula of a network is needed.
"""

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

from tuneglm.allocation import LARGE

PARTS = ("weights", "quantization", "trained", "gradients", "optimizer", "activations", "logits")
# weights in another type, which autocast makes and autograd keeps: who makes none, holds none
CASTS = "casts"
# blocks of this size and more go back to the system at once, smaller ones seldom
SMALL_POOL, LARGE_POOL = "small", "large"
COPY = "aten._to_copy"
ASKED_DEVICE = torch.ops.prim.device.default


@dataclass(frozen=True)
class Peak:
    """The fullest moment of a phase, in bytes.

    parts  PARTS and CASTS → what each holds then
    small, large  the most that blocks below LARGE and those above hold, each at its own time
    """

    parts: Mapping[str, float]
    small: float
    large: float

    @property
    def total(self) -> float:
        """All parts together."""
        return sum(self.parts.values())

    def beyond(self, other: "Peak", times: float) -> "Peak":
        """On the line from this one through `other`, so many times as far."""

        def further(here: float, there: float) -> float:
            return here + times * (there - here)

        every = (*PARTS, CASTS)
        parts = {part: further(self.parts.get(part, 0), other.parts.get(part, 0)) for part in every}
        return Peak(parts, further(self.small, other.small), further(self.large, other.large))


class Ledger(TorchDispatchMode):
    """Memory by part and phase, floating-point operations of products, and bytes moved by all else.

    vocabulary  a tensor of so many columns is logits
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.phase = "start"
        self.peaks: dict[str, Peak] = {}
        self.operations = self.moved = 0.0
        # what is done now stands for so many times the same
        self.times = 1
        self._live: dict[int, tuple[str, int]] = {}
        self._parts: Counter[str] = Counter()
        self._pools: Counter[str] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operation, and note what it made."""
        if function is ASKED_DEVICE:
            # two of three questions that torch puts to fake tensors
            return function(*args)
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        packet = function._overloadpacket
        name = str(packet)
        is_cast = name == COPY and self._is_weight(args[0])
        made = sum(self._note(each, is_cast=is_cast) for each in _tensors(result))
        passing = IN_PASSING.get(name)
        if passing is not None:
            self._pass_through(passing(args, kwargs))
        count = PRODUCTS.get(name) or flop_registry.get(packet)
        if count is not None:
            self.operations += self.times * count(*args, **kwargs, out_val=result)
        elif made or name.endswith("_"):
            read = sum(each.nbytes for each in _tensors((args, kwargs)))
            self.moved += self.times * (made + read)
        return result

    def hold(self, tensors: Iterable[Tensor], part: str) -> None:
        """Count tensors to a part, also those that are there already."""
        for tensor in tensors:
            self._note(tensor)
            key = tensor.untyped_storage()._cdata
            before, size = self._live[key]
            self._parts[before] -= size
            self._parts[part] += size
            self._live[key] = (part, size)
        self._mark()

    def live(self, part: str) -> int:
        """Bytes that a part holds now."""
        return self._parts[part]

    def _is_weight(self, tensor: Tensor) -> bool:
        part, _ = self._live.get(tensor.untyped_storage()._cdata, ("", 0))
        return part in ("weights", "trained")

    def _note(self, tensor: Tensor, *, is_cast: bool = False) -> int:
        """Bytes of a tensor whose memory was not there yet."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._live:
            return 0
        is_logits = tensor.ndim > 1 and tensor.shape[-1] == self.vocabulary
        part, size = "logits" if is_logits else "activations", storage.nbytes()
        part = CASTS if is_cast else part
        self._live[key] = (part, size)
        self._parts[part] += size
        self._pools[_pool(size)] += size
        weakref.finalize(storage, self._forget, key)
        self._mark()
        return size

    def _forget(self, key: int) -> None:
        part, size = self._live.pop(key)
        self._parts[part] -= size
        self._pools[_pool(size)] -= size

    def _pass_through(self, sizes: Iterable[int]) -> None:
        """Memory that an operation takes and gives back within itself."""
        sizes = list(sizes)
        for sign in (1, -1):
            for size in sizes:
                self._parts["activations"] += sign * size
                self._pools[_pool(size)] += sign * size
            self._mark()
        self.moved += self.times * 2 * sum(sizes)

    def _mark(self) -> None:
        before = self.peaks.get(self.phase)
        total = self._parts.total()
        small, large = self._pools[SMALL_POOL], self._pools[LARGE_POOL]
        if before is None:
            self.peaks[self.phase] = Peak(dict(self._parts), small, large)
        elif total > before.total or small > before.small or large > before.large:
            parts = dict(self._parts) if total > before.total else before.parts
            self.peaks[self.phase] = Peak(parts, max(small, before.small), max(large, before.large))


def _pool(size: int) -> str:
    return LARGE_POOL if size >= LARGE else SMALL_POOL


def _tensors(values: Any) -> list[Tensor]:
    return [each for each in tree_leaves(values) if isinstance(each, Tensor)]


def _dequantized(args: Any, kwargs: Any) -> list[int]:
    """A weight out of its 4 bits, and its constants out of their 8."""
    rows, columns = args[2]
    blocksize = args[4]
    weight = rows * columns * args[0].element_size()
    return [weight, 4 * rows * columns // blocksize]


def _attention_operations(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    shared = (_of_all_heads(query, each) for each in (key, value))
    return int(sdpa_flop_count(query.shape, *shared))


def _attention_backward(gradient: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    shared = (_of_all_heads(query, each) for each in (key, value))
    return int(sdpa_backward_flop_count(gradient.shape, query.shape, *shared))


def _of_all_heads(query: Any, each: Any) -> torch.Size:
    """The shape of keys or values as each head of queries sees them: torch counts only such."""
    return torch.Size((*query.shape[:2], *each.shape[2:]))


def _product(states: Any, weight: Any, *_: Any, **__: Any) -> int:
    return int(2 * states.numel() * weight.shape[0])


def _product_in_bits(states: Any, packed: Any, shape: Any, *_: Any, **__: Any) -> int:
    return int(2 * states.numel() * shape[0])


def _of_groups(states: Any, weight: Any, *_: Any, **__: Any) -> int:
    """(tokens, width) by each group's (width, out), or the gradients of these."""
    return int(2 * states.numel() * weight.shape[-1])


def _of_groups_backward(states: Any, weight: Any, *_: Any, **__: Any) -> int:
    return 2 * _of_groups(states, weight)


# operations that take a weight apart within themselves → sizes of what they make for that
IN_PASSING: dict[str, Callable[[Any, Any], list[int]]] = {"bitsandbytes.gemm_4bit": _dequantized}
# products that torch's own counter does not know
PRODUCTS: dict[str, Callable[..., int]] = {
    "aten._scaled_dot_product_flash_attention_for_cpu": _attention_operations,
    "aten._scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
    "bitsandbytes.gemm_4bit": _product_in_bits,
    "mkldnn._linear_pointwise": _product,
    "aten._grouped_mm": _of_groups,
    "transformers.grouped_mm_fallback": _of_groups,
    "transformers.grouped_mm_fallback_backward": _of_groups_backward,
}


def fake_mode() -> Any:
    """In it tensors have types and shapes, and no memory."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode(allow_non_fake_inputs=True)


def empty_like_all(tensors: Iterable[Tensor], bytes_each: float) -> list[Tensor]:
    """For each tensor another with so many bytes a value."""
    return [torch.empty(round(each.numel() * bytes_each), dtype=torch.uint8) for each in tensors]
