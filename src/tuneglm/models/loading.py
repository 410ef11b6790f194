"""load_model and load_tokenizer: from a path or an id to objects that are ready to use."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from tuneglm.config import ModelConfig
from tuneglm.errors import HubError, ModelError
from tuneglm.hub import Hub, fetch, looks_like_id, near_folder, no_folder
from tuneglm.models import family_of, saved_family
from tuneglm.models.adapters import (
    add_adapter,
    base_key,
    is_adapter,
    merge_adapters,
    read_base_path,
)
from tuneglm.models.bases import doubt_bases, refuse_other_bases
from tuneglm.models.chain import with_earlier
from tuneglm.models.family import Family, Layout
from tuneglm.models.float16 import compute_in_float16
from tuneglm.models.packed import bits_to_pack, packed_bits
from tuneglm.models.precision import Placement, Width, checked_bits, device_named, torch_dtype
from tuneglm.models.prefix import MODULE, add_prefix, check_prefix, split_prefix
from tuneglm.models.published import load_published
from tuneglm.models.quantization import is_quantized, quantization_config
from tuneglm.models.undivided import undivided
from tuneglm.models.weights import read_json, read_tensors, weight_files

TOKENIZER_FILES = ("*.json", "*.model", "*.jinja")


@undivided()
def load_model(
    path: str | Path,
    *,
    family: str | None = None,
    dtype: str | torch.dtype | None = None,
    bits: Width | None = None,
    adapters: str | Path | Sequence[str | Path] = (),
    device: str | torch.device | None = None,
    attention: str | None = None,
) -> PreTrainedModel:
    """A model from a folder or a hub's id, in published or native layout.

    path       model folder, hub id, or the output folder of a run (its base is found)
    family     name of the family; guessed from the files when left out
    dtype      type of the weights; `auto` or None: bfloat16 where the device computes
               in it natively, float16 on older GPUs, else float32
    bits       8 or 4: hold the linear weights packed by bitsandbytes; 16: not packed; None: as
               the files have them
    adapters   folders of trained parts, added in this order and all active: LoRA, a
               P-tuning prefix, or weights alone; ours or others'
    device     None: the GPU if there is one
    attention  transformers' `attn_implementation`

    Every weight of the model must be in the files and the other way round: a key
    that is missing, unexpected or of another shape raises ModelError naming it.
    """
    target = device_named(device)
    folder = local_folder(path)
    listed = [adapters] if isinstance(adapters, str | Path) else adapters
    adapter_folders = [adapter_folder(adapter) for adapter in listed]
    chosen = resolved_family(folder, family)
    if is_adapter(folder):
        adapter_folders.insert(0, folder)
        folder = base_folder(folder)
    refuse_twice(adapter_folders)
    refuse_other_bases(adapter_folders)
    packing = bits_to_pack(folder, checked_bits(bits))
    placement = Placement(torch_dtype(dtype, target), target, packing, attention)
    layout = published_layout(chosen, folder)
    if layout is not None:
        model = load_published(folder, layout, placement)
    else:
        model = _load_native(folder, placement)
    # an adapter trained on this model names its base by this, wherever it is loaded from
    model.config.name_or_path = model.name_or_path = str(folder.resolve())
    set_end_tokens(model, chosen, folder)
    for index, (part, is_earlier) in enumerate(with_earlier(adapter_folders)):
        add_adapter(model, part, chosen, f"adapter_{index}")
        if is_earlier and not is_quantized(model):
            # the next one was trained on the merged weights, and may hold some of them itself
            merge_adapters(model)
    doubt_bases(adapter_folders, folder)
    if placement.dtype == torch.float16:
        compute_in_float16(model)
    return model.eval()


def load_tokenizer(path: str | Path, *, family: str | None = None) -> PreTrainedTokenizerBase:
    """The fast tokenizer of a model folder, hub id or output folder.

    Its ids equal the published class's; `apply_chat_template` gives the family's prompt.
    """
    folder = local_folder(path, patterns=TOKENIZER_FILES)
    chosen = resolved_family(folder, family)
    if is_adapter(folder) and not (folder / "tokenizer_config.json").is_file():
        folder = base_folder(folder)
    return chosen.load_tokenizer(folder)


def resolved_family(folder: Path, name: str | None = None) -> Family:
    """The family of a model's folder; an adapter's is what it says itself, else its base's."""
    name = name or saved_family(folder)
    if name is None and is_adapter(folder):
        folder = base_folder(folder)
    return family_of(folder, name)


def adapter_folder(path: str | Path) -> Path:
    """The folder of trained parts at a path or an id; raises ModelError where it holds none."""
    folder = local_folder(path)
    if not is_adapter(folder):
        raise ModelError(
            f"`{folder}` holds no adapter.",
            "an adapter's folder has adapter_config.json and adapter_model.safetensors",
        )
    return folder


def refuse_twice(folders: Sequence[Path]) -> None:
    """Raises ModelError where one adapter is given twice."""
    resolved = [folder.resolve() for folder in folders]
    for folder in resolved:
        if resolved.count(folder) > 1:
            raise ModelError(
                f"The adapter `{folder}` is given twice.", "its updates would be added twice"
            )


def model_folder(config: ModelConfig) -> Path:
    """The folder of the model that a run tunes; raises ModelError where it is an adapter."""
    return _no_adapter(local_folder(config.path, hub=config.hub, revision=config.revision))


def config_folder(config: ModelConfig) -> Path:
    """The same with config.json in it: of a model on a hub, nothing else is fetched."""
    return _no_adapter(
        local_folder(
            config.path, hub=config.hub, revision=config.revision, patterns=("config.json",)
        )
    )


def _no_adapter(folder: Path) -> Path:
    if is_adapter(folder):
        raise ModelError(
            f"`{folder}` is an adapter, not a model.",
            f"tune its base instead: model.path={read_base_path(folder)}",
        )
    return folder


def local_folder(
    path: str | Path,
    *,
    hub: Hub = "huggingface",
    revision: str | None = None,
    patterns: Sequence[str] = (*TOKENIZER_FILES, "*.safetensors"),
) -> Path:
    """The folder that holds the model's files, fetched when `path` is a hub's id."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ModelError(f"`{path}` is a file; a model is a folder.", f"try `{folder.parent}`")
    if not looks_like_id(str(path)):
        raise no_folder(path)
    try:
        fetched = fetch(str(path), hub, patterns, revision=revision)
    except HubError as error:
        near = near_folder(folder)
        if near is None and folder.parent.is_dir():
            raise HubError(
                f"`{folder.parent}` is a folder here, and has no `{folder.name}`; as an id of the "
                f"hub: {error.sentence}",
                error.hint,
            ) from None
        if near is None:
            raise
        raise HubError(error.sentence, f"did you mean `{near}`? If not, {error.hint}") from None
    if "*.safetensors" in patterns and not any(fetched.glob("*.safetensors")):
        fetched = fetch(str(path), hub, (*patterns, "*.bin"), revision=revision)
    return fetched


def base_folder(adapter: Path) -> Path:
    """The model that an adapter was trained on, as its own files say."""
    base = read_base_path(adapter)
    if (adapter / base).is_dir():
        return adapter / base
    try:
        return local_folder(base)
    except ModelError:
        raise ModelError(
            f"The adapter `{adapter}` was trained on `{base}`, which is not there any more.",
            f"put the model back, or write its new place into `{base_key(adapter)[1]}` in "
            f"{base_key(adapter)[0]}",
        ) from None


def published_layout(family: Family, folder: Path) -> Layout | None:
    """The layout by which the folder's files are read; None where transformers reads them."""
    config = read_json(folder / "config.json")
    if config.get("quantization_config") and packed_bits(config) is None:
        # bits that transformers packed, under names of its own
        return None
    model_type = config.get("model_type")
    return family.layout if family.layout and family.layout.model_type == model_type else None


def set_end_tokens(model: PreTrainedModel, family: Family, folder: Path) -> None:
    """Let `generate` stop where the family's answers end; a folder may lack a tokenizer."""
    if (folder / "tokenizer.json").is_file() or any(folder.glob("*.model")):
        tokenizer = family.load_tokenizer(folder)
        model.generation_config.eos_token_id = list(family.end_tokens(tokenizer))
        model.generation_config.pad_token_id = tokenizer.pad_token_id


def _load_native(folder: Path, placement: Placement) -> PreTrainedModel:
    arguments = placement.model_arguments
    if placement.bits is not None:
        arguments["quantization_config"] = quantization_config(placement.bits, placement.dtype)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, output_loading_info=True, device_map={"": placement.device}, **arguments
        )
    except (OSError, RuntimeError, ValueError, SafetensorError, pickle.UnpicklingError) as error:
        raise ModelError(
            f"transformers cannot load `{folder}`: {str(error).strip().splitlines()[0]}",
            "the folder needs config.json and whole weight files of one model",
        ) from None
    model, report = loaded
    prefix = _native_prefix(folder, report)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[problem]:
            first = sorted(report[problem], key=str)[0]
            raise ModelError(
                f"The weights in `{folder}` do not fit config.json: {len(report[problem])} "
                f"{problem.replace('_', ' ')}, the first is `{first}`.",
                "config.json and the weights are of different models, or a shard is missing",
            )
    check_prefix(folder, read_json(folder / "config.json"), prefix)
    if prefix:
        add_prefix(model, prefix)
    return model


def _native_prefix(folder: Path, report: dict[str, Any]) -> dict[str, torch.Tensor]:
    """A prefix saved with a model of transformers', which knows no place for it."""
    names = {name for name in report["unexpected_keys"] if f"{MODULE}." in name}
    report["unexpected_keys"] = set(report["unexpected_keys"]) - names
    if not names:
        return {}
    return split_prefix(
        {
            name: tensor
            for file in weight_files(folder)
            for name, tensor in read_tensors(file)
            if name in names
        }
    )[0]
