"""Where numbers first are none: a step that went astray is run again, row by row, and watched.

Nothing is watched while all is well: a look at every module's output would make each
of them wait for the device.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

Inputs = Mapping[str, Tensor]
# what peft puts around the name of a module
AROUND = ("base_model.model.", ".base_layer", ".modules_to_save.default", ".original_module")


@dataclass(frozen=True)
class Place:
    """The first module whose output, or whose output's gradient, is not finite.

    row        its number in the batch
    gradient   whether it is the gradient, on the way back
    weights    whether the module's own weights are not finite
    """

    module: str
    row: int
    gradient: bool
    weights: bool


class _Found(Exception):  # noqa: N818 (no error: it ends a search)
    """A module whose numbers are none."""


def first_not_finite(
    model: nn.Module, batch: Inputs, loss_of: Callable[[Inputs], Tensor]
) -> Place | None:
    """Looks for it in the rows of a batch, one after another; None: each alone is finite.

    Gradients are added to those that are there: the run is at its end.
    """
    for number, row in enumerate(rows_of(batch)):
        found = _first_of_row(model, lambda row=row: loss_of(row))  # type: ignore[misc]
        if found is not None:
            module, gradient = found
            weights = model.get_submodule(module).parameters(recurse=False)
            broken = not all(bool(each.isfinite().all()) for each in weights)
            return Place(_plain(module), number, gradient, broken)
    return None


def rows_of(batch: Inputs) -> Iterator[dict[str, Tensor]]:
    """Each row of a padded or packed batch as a batch of its own."""
    lengths = batch.get("row_lengths")
    if lengths is None:
        for number in range(len(batch["input_ids"])):
            yield {name: each[number : number + 1] for name, each in batch.items()}
        return
    sizes: Sequence[int] = lengths.flatten().tolist()
    tokens = {name: each for name, each in batch.items() if name != "row_lengths"}
    parts = {name: each.split(sizes, dim=-1) for name, each in tokens.items()}
    for number, size in enumerate(sizes):
        row = {name: each[number] for name, each in parts.items()}
        yield {**row, "row_lengths": lengths.new_tensor([[size]])}


def _first_of_row(model: nn.Module, run: Callable[[], Tensor]) -> tuple[str, bool] | None:
    """(module, whether it is the gradient)."""
    found: list[tuple[str, bool]] = []

    def stop(name: str, gradient: bool) -> None:
        found.append((name, gradient))
        raise _Found

    def watch(name: str) -> Callable[..., None]:
        def look_back(gradient: Tensor) -> None:
            if not gradient.isfinite().all():
                stop(name, gradient=True)

        def look(module: nn.Module, args: Any, output: Any) -> None:
            for each in _floats(output):
                if not each.isfinite().all():
                    stop(name, gradient=False)
                if each.requires_grad:
                    each.register_hook(look_back)

        return look

    hooks = [module.register_forward_hook(watch(name)) for name, module in model.named_modules()]
    try:
        with torch.enable_grad():
            loss = run()
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]
    except _Found:
        return found[0]
    finally:
        for hook in hooks:
            hook.remove()
    return None


def _floats(output: Any) -> list[Tensor]:
    leaves = tree_leaves(output)
    return [each for each in leaves if isinstance(each, Tensor) and each.is_floating_point()]


def _plain(name: str) -> str:
    for part in AROUND:
        name = name.replace(part, "")
    return name
