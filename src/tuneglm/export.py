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
from tuneglm.model_card import CARD_FILE, export_card
from tuneglm.models.adapters import is_adapter, merge_adapters
from tuneglm.models.family import Family
from tuneglm.models.loading import (
    base_folder,
    load_model,
    load_tokenizer,
    local_folder,
    resolved_family,
)
from tuneglm.models.packed import PackedBits, pack_linears, unpack_linears
from tuneglm.models.prefix import sees_prefix
from tuneglm.models.published import save_published
from tuneglm.models.weights import read_json

Layout = Literal["published", "native"]


@dataclass(frozen=True)
class Export:
    """What to write, and how.

    path      model folder, hub id, or output folder of a run
    output    folder to write; must not hold anything
    layout    published: the family's own names, which its code and converters read;
              native: transformers' names; None: published where the family has a layout
    bits      4 or 8: the official packed form, for the published layout or our own loader
    dtype     type of the weights; None: that of the model's files, float16 where they are packed
    adapters  further trained parts, merged as well
    """

    path: str
    output: Path
    layout: Layout | None = None
    bits: PackedBits | None = None
    dtype: str | None = None
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
        dtype=_dtype(wanted),
        adapters=wanted.adapters,
        device="cpu",
    )
    refuse_prefix(model, wanted)
    unpack_linears(model, model.dtype)
    merge_adapters(model)
    _refuse_overflow(model)
    if wanted.bits is not None:
        pack_linears(model, wanted.bits)
    with writable(wanted.output), writing(wanted.output):
        save(model, wanted.output)
        tokenizer.save_pretrained(wanted.output)
        (wanted.output / CARD_FILE).write_text(_card(wanted, family), encoding="utf-8")
    return wanted.output


def _card(wanted: Export, family: Family) -> str:
    folders = [local_folder(path) for path in (wanted.path, *wanted.adapters)]
    return export_card(wanted.path, family.name, wanted.output, folders)


def _dtype(wanted: Export) -> str:
    if wanted.dtype is not None:
        return wanted.dtype
    if wanted.bits is not None:
        return "float16"
    folder = local_folder(wanted.path)
    config = read_json((base_folder(folder) if is_adapter(folder) else folder) / "config.json")
    return str(config.get("torch_dtype") or config.get("dtype") or "float16")


def refuse_prefix(model: PreTrainedModel, wanted: Export) -> None:
    """What the attention sees beside its tokens is no product of weights, and merges into none."""
    if not sees_prefix(model):
        return
    if wanted.layout == "published" and getattr(model.config, "pre_seq_len", None):
        # the published code reads such a folder: `pre_seq_len` in its config.json
        return
    raise ModelError(
        f"`{wanted.path}` holds a trained prefix or soft prompt, which no weights can express: its "
        "keys and values stand beside the tokens', and a server that knows none would leave them "
        "out.",
        "keep it apart: `tuneglm chat` takes its folder; a prefix goes with its model in one "
        "folder by --layout published, for the published code",
    )


def _refuse_overflow(model: PreTrainedModel) -> None:
    for name, weight in model.named_parameters():
        if bool(weight.isnan().any()):
            raise ModelError(
                f"`{name}` holds what is no number (NaN).",
                "its file is broken, or the run that wrote it went astray",
            )
        if not bool(weight.isfinite().all()):
            raise ModelError(
                f"`{name}` holds numbers that {model.dtype} cannot.",
                "choose another type: --dtype bfloat16 or float32",
            )


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
