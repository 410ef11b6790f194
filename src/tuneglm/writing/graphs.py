"""A step as one graph of kernels, which a GPU is given at once.

A step of a large model is more than a thousand small kernels, and a processor takes longer to
hand them over one by one than the GPU takes to compute them. A graph records them once, with
the addresses that they read and write, and starts them all by one call. What changes between
steps is therefore written to one place: the last tokens, where they go and what they see. All
else that a graph was recorded with must stay: which slots, how many columns, which adapters.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tuneglm.models.prefix import Giver

# (state) → logits
Step = Callable[[Tensor], Tensor]
# makes of a step and the place where its state lies what computes it from there again
Record = Callable[[Step, Tensor], Callable[[], Tensor]]

COLUMNS = 256  # of which a step sees a multiple: fewer different graphs
MET = 3  # times that a step is met before it is recorded: rows come and go
MOST = 64  # graphs that are kept
WARM = 2  # passes before a recording, in which kernels are chosen and loaded


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

    def run(self, key: Any, step: Step, state: Tensor, keeps: Any = None) -> Tensor:
        """Logits of a step; by its graph from the time on that it has one.

        key    all that differs between steps, but for the state; what does not come back, such
               as weights that have gone, leaves with the oldest
        state  (rows, numbers)
        """
        graph = self._graphs.get(key)
        if graph is None:
            self._met[key] += 1
            if self._is_off or self._met[key] < MET:
                return step(state)
            graph = self._recorded(step, state.clone(), keeps)
            if graph is None:
                return step(state)
            self._graphs[key] = graph
            if len(self._graphs) > MOST:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(key)
        graph.state.copy_(state)
        return graph.replay()

    def _recorded(self, step: Step, state: Tensor, keeps: Any) -> _Graph | None:
        try:
            return _Graph(state, self._record(step, state), keeps)
        except RuntimeError:
            # such as a network that asks the GPU for numbers in the middle of a step
            self._is_off = True
            return None


def can_be_recorded(model: Any) -> bool:
    """Whether the steps of a model are kernels of one GPU that depend on their state alone."""
    is_whole = len({weight.device for weight in model.parameters()}) == 1
    computed_anew = any(isinstance(module, Giver) for module in model.modules())
    # eager attention writes its masks on the processor
    is_eager = model.config._attn_implementation == "eager"
    return model.device.type == "cuda" and is_whole and not computed_anew and not is_eager


class _Recorder:
    """Records on a stream of its own; all graphs share what memory lies between their kernels."""

    def __init__(self) -> None:
        self._pool: Any = None

    def __call__(self, step: Step, state: Tensor) -> Callable[[], Tensor]:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM):
                step(state)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        # what other threads ask of the GPU meanwhile is not this recording's affair
        with torch.cuda.graph(graph, self._pool, stream, capture_error_mode="thread_local"):
            logits = step(state)

        def replay() -> Tensor:
            graph.replay()
            return logits

        return replay
