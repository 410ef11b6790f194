"""What each weight of a result is: read, merged, rounded and packed when it is asked for."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from transformers import PreTrainedModel

from tuneglm.errors import ModelError
from tuneglm.export.source import Source
from tuneglm.models.family import Layout
from tuneglm.models.layout import native_names, to_published
from tuneglm.models.loading import published_layout
from tuneglm.models.merging import Changes, OtherUpdateError, Replaced, changes_of
from tuneglm.models.packed import SCALE, PackedBits, pack
from tuneglm.models.prefix import MODULE
from tuneglm.models.published import refuse_missing
from tuneglm.models.shards import Entry
from tuneglm.models.stored import StoredWeights

Shapes = dict[str, torch.Size]


class Weights:
    """What each weight of the result is, made when it is asked for."""

    def __init__(self, source: Source, model: PreTrainedModel, bits: PackedBits | None) -> None:
        self._source, self._model, self._bits = source, model, bits
        self._stored = StoredWeights(source.base, source.family)
        self._tied = dict(model.all_tied_weights_keys)
        state = model.state_dict()
        self._shapes: Shapes = {name: each.shape for name, each in state.items()}
        self._refuse_other_names()
        self._changes = _changes(source, self._shapes, self._stored)
        self._refuse_tied()
        self.prefix = {
            name: each.to(torch.float32)
            for name, each in (self._changes.prefix or self._stored.prefix).items()
        }
        self._prefix_names = f"{model.base_model_prefix}.{MODULE}."
        self._in_bits: set[str] = set()
        self._kept = kept_wide(model)

    def entries(self, layout: Layout | None) -> list[Entry]:
        """All weights in their order, under the names of a layout or our own."""
        state = dict(self._model.state_dict())
        self._in_bits = {name.rpartition(".")[0] for name in state if name.endswith(f".{SCALE}")}
        for short, tensor in self.prefix.items():
            state[f"{self._prefix_names}{short}"] = tensor.to("meta")
        if layout is None:
            own = {name: each for name, each in state.items() if name not in self._tied}
            return [self.entry(name, meta, (name,)) for name, meta in own.items()]
        form = to_published(layout, self._model.config, state)
        return [self.published(key, meta) for key, meta in form.items()]

    def published(self, key: str, meta: torch.Tensor) -> Entry:
        """A weight under its published name, its parts put together."""
        assert self._source.layout is not None
        module, _, leaf = key.rpartition(".")
        names = native_names(self._source.layout, module)
        return self.entry(key, meta, [f"{name}.{leaf}" for name in names])

    def entry(self, name: str, meta: torch.Tensor, parts: Sequence[str]) -> Entry:
        """A weight of which our `parts` lie one below the other."""
        counts = [self._rows_of(part) for part in parts]
        makers = [partial(self.rows, part) for part in parts]
        return Entry(name, meta.shape, meta.dtype, list(zip(counts, makers, strict=True)))

    def rows(self, name: str, rows: slice) -> torch.Tensor:
        """Rows of a weight under our name."""
        if name.startswith(self._prefix_names):
            return self.prefix[name.removeprefix(self._prefix_names)][rows]
        module, _, leaf = name.rpartition(".")
        if leaf != SCALE and not (leaf == "weight" and module in self._in_bits):
            return self._whole(name, rows)
        assert self._bits is not None
        packed, scale = pack(self._whole(f"{module}.weight", rows), self._bits)
        return scale if leaf == SCALE else packed

    def _rows_of(self, name: str) -> int:
        if name.startswith(self._prefix_names):
            return len(self.prefix[name.removeprefix(self._prefix_names)])
        module, _, leaf = name.rpartition(".")
        shape = self._shapes[f"{module}.weight" if leaf == SCALE else name]
        return shape[0] if shape else 1

    def _whole(self, name: str, rows: slice) -> torch.Tensor:
        name = self._tied.get(name, name)
        if rows.start == 0:
            self._refuse_other_shape(name)
        dtype = torch.float32 if self._kept.intersection(name.split(".")) else self._source.dtype
        weight = self._changes.merged(name, self._stored.rows(name, rows), rows).to(dtype)
        refuse_overflow(name, weight)
        return weight

    def _refuse_other_shape(self, name: str) -> None:
        stored = self._stored.shape(name)
        if stored != self._shapes[name]:
            raise ModelError(
                f"`{name}` in `{self._source.base}` has the shape {tuple(stored)}, but "
                f"config.json makes it {tuple(self._shapes[name])}.",
                "config.json and the weights are of different models, or of different bits",
            )

    def _refuse_other_names(self) -> None:
        there, wanted = set(self._stored.names), set(self._shapes)
        missing = sorted(wanted - there - set(self._tied))
        if missing and published_layout(self._source.family, self._source.base) is not None:
            refuse_missing(self._source.base, missing)
        if missing or there - wanted:
            # transformers renames them while it loads, or says what is wrong
            raise OtherUpdateError

    def _refuse_tied(self) -> None:
        names = {*self._tied, *self._tied.values()}
        for name in sorted(names & self._changes.weights.keys()):
            if all(
                isinstance(each, Replaced) and each.rows for each in self._changes.weights[name]
            ):
                # rows of tokens, which both have
                continue
            raise ModelError(
                f"`{name.removesuffix('.weight')}` is tied to another weight, which merging its "
                "adapter would change.",
                "keep the adapter apart",
            )


def kept_wide(model: PreTrainedModel) -> set[str]:
    """Modules whose weights stay in float32, as transformers' class says."""
    model_class: Any = model
    return {
        *(model_class._keep_in_fp32_modules or ()),
        *(model_class._keep_in_fp32_modules_strict or ()),
    }


def _changes(source: Source, shapes: Shapes, stored: StoredWeights) -> Changes:
    return changes_of(source.adapters, source.family, stored.config, shapes)


def refuse_overflow(name: str, weight: torch.Tensor) -> None:
    """Raises ModelError for a weight that holds what is no number, or none of its type."""
    if not weight.is_floating_point() or bool(weight.isfinite().all()):
        return
    if bool(weight.isnan().any()):
        raise ModelError(
            f"`{name}` holds what is no number (NaN).",
            "its file is broken, or the run that wrote it went astray",
        )
    raise ModelError(
        f"`{name}` holds numbers that {weight.dtype} cannot.",
        "choose another type: --dtype bfloat16 or float32",
    )
