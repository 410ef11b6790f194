"""export: one folder of whole weights, from a model or from what a run made of it.

Adapters are merged, packed layers taken apart, and what is asked for packed again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transformers import PreTrainedModel

from tuneglm.checkpoints import writable, writing
from tuneglm.errors import ModelError, OutputError
from tuneglm.models.adapters import merge_adapters
from tuneglm.models.family import Family
from tuneglm.models.loading import load_model, load_tokenizer, local_folder, resolved_family
from tuneglm.models.packed import PackedBits, pack_linears, unpack_linears
from tuneglm.models.published import save_published

Layout = Literal["published", "native"]


@dataclass(frozen=True)
class Export:
    """What to write, and how.

    path      model folder, hub id, or output folder of a run
    output    folder to write; must not hold anything
    layout    published: the family's own names, which its code and converters read;
              native: transformers' names; None: published where the family has a layout
    bits      4 or 8: the official packed form, for the published layout or our own loader
    dtype     type of the weights; float16 is what the published models have
    adapters  further trained parts, merged as well
    """

    path: str
    output: Path
    layout: Layout | None = None
    bits: PackedBits | None = None
    dtype: str = "float16"
    family: str | None = None
    adapters: tuple[str, ...] = ()


def export(wanted: Export) -> Path:
    """Write the folder; returns it. Raises OutputError where it holds something already."""
    _refuse_filled(wanted.output)
    family = resolved_family(local_folder(wanted.path), wanted.family)
    save = _saver(wanted, family)
    tokenizer = load_tokenizer(wanted.path, family=wanted.family)
    model = load_model(
        wanted.path,
        family=wanted.family,
        dtype=wanted.dtype,
        adapters=wanted.adapters,
        device="cpu",
    )
    unpack_linears(model, model.dtype)
    merge_adapters(model)
    if wanted.bits is not None:
        pack_linears(model, wanted.bits)
    with writable(wanted.output), writing(wanted.output):
        save(model, wanted.output)
        tokenizer.save_pretrained(wanted.output)
    return wanted.output


def _saver(wanted: Export, family: Family) -> Callable[[PreTrainedModel, Path], object]:
    layout = family.layout
    if wanted.layout == "native" or (wanted.layout is None and layout is None):
        return lambda model, folder: model.save_pretrained(folder)
    if layout is None:
        raise ModelError(
            f"The family `{family.name}` has no published layout of its own.",
            "leave --layout out, or say --layout native",
        )
    return lambda model, folder: save_published(model, layout, folder)


def _refuse_filled(folder: Path) -> None:
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise OutputError(f"`{folder}` holds something already.", "name a new folder")
