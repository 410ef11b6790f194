"""Whether a folder's weights are those that its config.json asks for, name by name."""

from pathlib import Path

from tuneglm.models.family import Family
from tuneglm.models.loading import published_layout
from tuneglm.models.packed import packed_bits
from tuneglm.models.partial import own_tensors
from tuneglm.models.prefix import MODULE
from tuneglm.models.skeleton import skeleton
from tuneglm.models.weights import read_json, read_tensors, weight_files

Shapes = dict[str, tuple[int, ...]]


def misfit(folder: Path, family: Family) -> str | None:
    """The first weight that is missing, strange or of another shape, in words; None: all fit.

    Of packed weights, and of layouts that transformers converts as it reads them, nothing is
    said: loading them is what tells.
    """
    layout = published_layout(family, folder)
    if layout is None or packed_bits(read_json(folder / "config.json")) is not None:
        return None
    model = skeleton(folder, family)
    wanted: Shapes = {
        name: tuple(weight.shape) for name, weight in model.named_parameters(remove_duplicate=False)
    }
    tied = {name for pair in model.all_tied_weights_keys.items() for name in pair}
    found: Shapes = {}
    for file in weight_files(folder):
        for name, tensor in read_tensors(file):
            if f"{MODULE}." in name or name.endswith(layout.ignored):
                continue
            try:
                own = own_tensors(model.config, {name: tensor}, layout)
            except RuntimeError:
                return f"`{name}` has the shape {tuple(tensor.shape)}, which cannot be split"
            found |= {key: tuple(each.shape) for key, each in own.items()}
    return _difference(wanted, found, tied)


def _difference(wanted: Shapes, found: Shapes, tied: set[str]) -> str | None:
    for name, shape in wanted.items():
        if name not in found and name not in tied:
            return f"`{name}` is missing"
        if found.get(name, shape) != shape:
            return f"`{name}` has the shape {found[name]}, and config.json asks for {shape}"
    strange = sorted(found.keys() - wanted.keys())
    return f"`{strange[0]}` is there, and config.json knows no place for it" if strange else None
