"""A step as one graph of kernels, which a GPU is given at once.

A step of a large model is more than a thousand small kernels, and a processor takes longer to
hand them over one by one than the GPU takes to compute them. A graph records them once, with
the addresses that they read and write, and starts them all by one call. What changes between
steps is therefore written to one place: the last tokens, where they go and what they see. All
else that a graph was recorded with must stay: which slots, how many columns, which adapters.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tuneglm.models.prefix import Giver
from tuneglm.models.quantization import held_bits

# (state) → logits
Step = Callable[[Tensor], Tensor]
# makes of a step and the place where its state lies what computes it from there again
Record = Callable[[Step, Tensor], Callable[[], Tensor]]

COLUMNS = 256  # of which a step sees a multiple: fewer different graphs
ROWS = 16  # of a step that is recorded: each graph keeps the logits of its own
MET = 3  # times that a step is met before it is recorded: rows come and go
MOST = 32  # graphs that are kept
WARM = 2  # passes before a recording, in which kernels are chosen and loaded
# of configs whose layers ask the GPU how many tokens each expert has
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


@dataclass(frozen=True)
class _Graph:
    """`keeps` are tensors that it reads and that are made anew now and then."""

    state: Tensor
    replay: Callable[[], Tensor]
    keeps: Any


class Graphs:
    """Those of one running batch, by what they were recorded with.

    record  how it is done; a GPU's own way otherwise
    """

    def __init__(self, record: Record | None = None) -> None:
        self._record = record or _Recorder()
        self._met = Counter[Any]()
        self._graphs = OrderedDict[Any, _Graph]()
        self._is_off = False

    def __len__(self) -> int:
        return len(self._graphs)

    def forget(self) -> None:
        """What was recorded holds no longer, and its memory is not kept: weights came or went."""
        self._met.clear()
        self._graphs.clear()

    def run(self, key: Any, step: Step, state: Tensor, keeps: Any = None) -> Tensor:
        """Logits of a step; by its graph from the time on that it has one.

        key    all that differs between steps, but for the state
        state  (rows, numbers)
        """
        graph = self._graphs.get(key) or self._recorded(key, step, state, keeps)
        if graph is None:
            return step(state)
        self._graphs.move_to_end(key)
        graph.state.copy_(state)
        return graph.replay()

    def _recorded(self, key: Any, step: Step, state: Tensor, keeps: Any) -> _Graph | None:
        """A step's graph, where it came often enough and can be recorded."""
        if self._is_off or len(state) > ROWS:
            return None
        self._met[key] += 1
        if self._met[key] < MET:
            return None
        own = state.clone()
        try:
            graph = self._graphs[key] = _Graph(own, self._record(step, own), keeps)
        except RuntimeError:
            # a network that asks the GPU for numbers in the middle of a step, or short memory
            self._is_off = True
            self.forget()
            return None
        if len(self._graphs) > MOST:
            oldest, _ = self._graphs.popitem(last=False)
            del self._met[oldest]
        return graph


def can_be_recorded(model: Any) -> bool:
    """Whether the steps of a model are kernels of one GPU that depend on their state alone."""
    config = model.config.get_text_config()
    is_whole = len({weight.device for weight in model.parameters()}) == 1
    computed_anew = any(isinstance(module, Giver) for module in model.modules())
    # eager attention writes its masks on the processor; 8 bits look for large values first
    waits = config._attn_implementation == "eager" or held_bits(model) == 8
    waits = waits or any(getattr(config, name, None) for name in EXPERTS)
    return model.device.type == "cuda" and is_whole and not computed_anew and not waits


class _Recorder:
    """Records on a stream of its own; all graphs share what memory lies between their kernels."""

    def __init__(self) -> None:
        self._pool: Any = None

    def __call__(self, step: Step, state: Tensor) -> Callable[[], Tensor]:
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        # recorded is what the current GPU's stream is given
        with torch.cuda.device(state.device):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM):
                    step(state)
                graph, logits = self._captured(step, state, stream)
            torch.cuda.current_stream().wait_stream(stream)

        def replay() -> Tensor:
            with torch.cuda.device(state.device):
                graph.replay()
            return logits

        return replay

    def _captured(self, step: Step, state: Tensor, stream: Any) -> tuple[Any, Tensor]:
        graph = torch.cuda.CUDAGraph()
        try:
            # what other threads ask of the GPU meanwhile is not this recording's affair
            with torch.cuda.graph(graph, self._pool, stream, capture_error_mode="thread_local"):
                logits = step(state)
        except RuntimeError:
            # torch leaves its allocator as if it still recorded
            with suppress(RuntimeError, AttributeError, TypeError):
                torch._C._cuda_endAllocateToPool(state.device.index, self._pool)  # type: ignore[attr-defined]
            raise
        return graph, logits
