"""Checkpoints in a published layout: read shard by shard into transformers' class, and written."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from accelerate.utils import set_module_tensor_to_device
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from tuneglm.errors import ModelError
from tuneglm.models.family import Layout
from tuneglm.models.layout import native_names, to_native, to_published
from tuneglm.models.packed import (
    SCALE,
    PackedBits,
    PackedConfig,
    is_packed,
    packed_bits,
    put_packed_linears,
)
from tuneglm.models.precision import Placement
from tuneglm.models.prefix import MODULE, add_prefix, check_prefix
from tuneglm.models.quantization import is_quantized, quantize_linears, set_quantized_weight
from tuneglm.models.weights import (
    INDEX_FILES,
    read_json,
    read_tensors,
    weight_files,
    weight_names,
)

log = logging.getLogger(__name__)

ROWS_COMPARED = 256
LARGEST_FILE = 4 * 10**9


def load_published(folder: Path, layout: Layout, placement: Placement) -> PreTrainedModel:
    """A published checkpoint as transformers' model.

    The model starts without memory and takes each weight as it is read: the
    peak is the model and one shard. Raises ModelError for a key that is
    missing, unexpected, or of another shape than config.json makes it.
    """
    published = read_json(folder / "config.json")
    config = layout.to_native_config(published)
    packed = packed_bits(published)
    model: Any = _empty_model(folder, config, packed, placement)
    tied = model.all_tied_weights_keys
    # scales of packed weights are buffers, which the files hold too
    missing = {name: each.shape for name, each in model.state_dict().items() if name not in tied}
    quantized = quantize_linears(model, placement)
    repeated, prefix = {}, dict[str, torch.Tensor]()
    for key, name, tensor in _tensors_but_prefix(_native_tensors(folder, layout, config), prefix):
        if name in tied:
            repeated[name] = tensor
            continue
        _check_weight(f"`{key}` in `{folder}`", tensor, missing.pop(name, None), packed)
        dtype = tensor.dtype if _keeps_type(name, tensor) else placement.dtype
        if name in quantized:
            set_quantized_weight(model, name, tensor.to(dtype, copy=True), placement.device)
        else:
            weight = tensor.to(placement.device, dtype, copy=True)
            set_module_tensor_to_device(model, name, placement.device, weight)
    refuse_missing(folder, list(missing))
    model.tie_weights()
    for name, tensor in repeated.items():
        _check_tied(folder, name, tensor, model.get_parameter(tied[name]))
    check_prefix(folder, published, prefix)
    if prefix:
        add_prefix(model, prefix)
    return model.to(placement.device)


def _empty_model(
    folder: Path, config: PreTrainedConfig, packed: PackedBits | None, placement: Placement
) -> PreTrainedModel:
    """The model without memory, its linear layers packed where the checkpoint's are."""
    try:
        with init_empty_weights(include_buffers=False):
            model = AutoModelForCausalLM.from_config(config, **placement.model_arguments)
    except (ImportError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"`{folder}` cannot be loaded in this way: {reason}",
            "leave model.attention out, or choose eager or sdpa",
        ) from None
    if packed is not None:
        put_packed_linears(model, packed)
    return model


def _check_weight(
    what: str, tensor: torch.Tensor, shape: torch.Size | None, packed: PackedBits | None
) -> None:
    """`what` is a tensor's key and folder; `shape` the model's, None where it has none."""
    if shape is None:
        raise ModelError(
            f"{what} is not a weight of this model, or is there twice.",
            "config.json and the shards are of different models: download them again",
        )
    if tensor.dtype == torch.int8 and packed is None:
        raise ModelError(
            f"{what} is packed in bits, but config.json has no `quantization_bit`.",
            "config.json is the 16-bit model's: download it again with the weights",
        )
    if shape != tensor.shape:
        raise ModelError(
            f"{what} has the shape {tuple(tensor.shape)}, but config.json makes it {tuple(shape)}.",
            "config.json and the weights are of different models, or of different bits",
        )


def refuse_missing(folder: Path, missing: list[str]) -> None:
    """Raise ModelError where the files lack weights that the model needs."""
    if missing:
        names = ", ".join(f"`{name}`" for name in missing[:3])
        raise ModelError(
            f"The weights in `{folder}` lack {len(missing)} that the model needs: {names}"
            + (" …" if len(missing) > 3 else ""),
            "a shard is missing, or config.json is another model's",
        )


def _tensors_but_prefix(
    tensors: Iterator[tuple[str, str, torch.Tensor]], prefix: dict[str, torch.Tensor]
) -> Iterator[tuple[str, str, torch.Tensor]]:
    """The model's own tensors; those of a prefix, whose sizes only they tell, are put aside."""
    for key, name, tensor in tensors:
        _, is_prefix, short = key.rpartition(f"{MODULE}.")
        if is_prefix:
            prefix[short] = tensor
        else:
            yield key, name, tensor


def _keeps_type(name: str, tensor: torch.Tensor) -> bool:
    """Packed weights and their scales are what they are, in whatever type the model computes."""
    return not tensor.is_floating_point() or name.endswith(f".{SCALE}")


def _check_tied(folder: Path, name: str, tensor: torch.Tensor, weight: torch.Tensor) -> None:
    """A tied weight is written twice; the copy is dropped, and must be one."""
    if tensor.shape != weight.shape:
        raise ModelError(
            f"`{name}` in `{folder}` has the shape {tuple(tensor.shape)}, and the weight that it "
            f"is tied to {tuple(weight.shape)}.",
            "the shards are of different models",
        )
    # in parts: a whole vocabulary's embeddings in another type are large
    pairs = zip(tensor.split(ROWS_COMPARED), weight.cpu().split(ROWS_COMPARED), strict=True)
    if not all(torch.equal(copy.to(kept.dtype), kept) for copy, kept in pairs):
        log.warning(
            "`%s` in `%s` differs from the weight that it is tied to, which is used for both, "
            "as the published code does",
            name,
            folder,
        )


def save_published(
    model: PreTrainedModel, layout: Layout, folder: Path, largest: int = LARGEST_FILE
) -> None:
    """Weights and config.json as the family publishes them, for its own code and its converters.

    largest  bytes of a weight file at most
    """
    if is_quantized(model) and not is_packed(model):
        raise ModelError(
            "A model in bitsandbytes' bits has no published form.",
            "load it without bits; the official packed form is `tuneglm export --bits`",
        )
    folder.mkdir(parents=True, exist_ok=True)
    _save_weights(to_published(layout, model.config, model.state_dict()), folder, largest)
    content = layout.to_published_config(model.config) | stored_form(model)
    config = json.dumps(content, indent=2)
    (folder / "config.json").write_text(config + "\n", encoding="utf-8")


def _save_weights(weights: dict[str, torch.Tensor], folder: Path, largest: int) -> None:
    """One file, or shards with their index where it would be larger than `largest`."""
    plan = split_torch_state_dict_into_shards(
        weights, filename_pattern="model{suffix}.safetensors", max_shard_size=largest
    )
    for name, keys in plan.filename_to_tensors.items():
        seen: set[int] = set()
        shard = {}
        for key in keys:
            # safetensors refuses two names for one memory, which a tied weight has
            copied = weights[key].untyped_storage().data_ptr() in seen
            shard[key] = weights[key].clone() if copied else weights[key].contiguous()
            seen.add(weights[key].untyped_storage().data_ptr())
        save_file(shard, folder / name, metadata={"format": "pt"})
    if plan.is_sharded:
        index = {"metadata": plan.metadata, "weight_map": plan.tensor_to_filename}
        text = json.dumps(index, indent=2, sort_keys=True)
        (folder / INDEX_FILES[0]).write_text(text + "\n", encoding="utf-8")


def stored_form(model: PreTrainedModel) -> dict[str, Any]:
    """What config.json says of the weights beside it: their type, their packing, their prefix."""
    config = model.config
    form: dict[str, Any] = {"torch_dtype": str(model.dtype).removeprefix("torch.")}
    packing = getattr(config, "quantization_config", None)
    if isinstance(packing, PackedConfig):
        form |= {"quantization_bit": packing.bits, "quantization_embeddings": False}
    if getattr(config, "pre_seq_len", None):
        form |= {key: getattr(config, key) for key in ("pre_seq_len", "prefix_projection")}
    return form


def _unknown_names(folder: Path, layout: Layout) -> list[str]:
    return [
        name
        for name in weight_names(folder)
        if not name.endswith(layout.ignored) and not native_names(layout, name.rpartition(".")[0])
    ]


def _native_tensors(
    folder: Path, layout: Layout, config: PreTrainedConfig
) -> Iterator[tuple[str, str, torch.Tensor]]:
    """(published key, our name, tensor) of every shard."""
    for file in weight_files(folder):
        for key, tensor in read_tensors(file):
            if key.endswith(layout.ignored):
                continue
            try:
                parts = list(to_native(layout, config, key, layout.read(config, key, tensor)))
            except KeyError:
                unknown = _unknown_names(folder, layout)
                raise ModelError(
                    f"`{file}` holds what is no weight of the model that config.json describes: "
                    f"{', '.join(f'`{name}`' for name in unknown[:3])}"
                    + (f" and {len(unknown) - 3} more." if len(unknown) > 3 else "."),
                    "the two are of different models: download the folder again, or say which "
                    "family it is with model.family=NAME",
                ) from None
            except RuntimeError:
                raise ModelError(
                    f"`{key}` in `{file}` has the shape {tuple(tensor.shape)}, but config.json "
                    f"splits it into {layout.rows(config)} rows.",
                    "config.json and the weights are of different models",
                ) from None
            for name, part in parts:
                yield key, name, part
