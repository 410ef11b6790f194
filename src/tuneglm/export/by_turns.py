"""What a model computes that is never in memory as a whole: each module's weights come by turns.

files ─▶ weight ─▶ merged, rounded ─▶ float32 ─▶ its module computes ─▶ forgotten

So what could be exported can be compared too, in the memory of the largest weight; for each
comparison the files are read once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import init_empty_weights
from accelerate.hooks import attach_align_device_hook
from transformers import AutoModelForCausalLM, PreTrainedModel

from tuneglm.export.source import Source
from tuneglm.export.wanted import Export
from tuneglm.export.weights import Weights
from tuneglm.models.chain import with_earlier
from tuneglm.models.packed import SCALE, PackedBits, pack, put_packed_linears, unpack
from tuneglm.models.prefix import encoder_of, put_prefix
from tuneglm.models.skeleton import config_of, skeleton
from tuneglm.models.undivided import undivided

CPU = torch.device("cpu")
# the largest weight as it is stored and in float32, and what its module computes
COPIES = 2
# libraries that do it, and what they do not give back
BESIDE = 2**29
WEIGHTS = (".safetensors", ".bin")


Logits = list[torch.Tensor]  # of each prompt (tokens, vocabulary)


def needed(source: Source) -> int:
    """Bytes; adapters are in memory as a whole."""
    model = skeleton(source.base, source.family)
    adapters = (file for folder, _ in with_earlier(source.adapters) for file in folder.iterdir())
    added = sum(file.stat().st_size for file in adapters if file.suffix in WEIGHTS)
    return max(each.numel() for each in model.parameters()) * 4 * COPIES + added + BESIDE


def computed(
    source: Source, wanted: Export, folder: Path, prompts: Sequence[list[int]]
) -> tuple[Logits, Logits, Logits]:
    """Logits of the source, of the source as the result rounds it, and of the result.

    Raises OtherUpdateError for what cannot be merged weight by weight.
    """
    exact = _logits(source, prompts)
    if wanted.adapter_only:
        return exact, exact, _logits(replace(source, adapters=(folder,)), prompts)
    rounded = _logits(source, prompts, rounded=True, bits=wanted.bits)
    written = replace(source, given=(folder,), base=folder, adapters=())
    return exact, rounded, _logits(written, prompts)


def _logits(
    source: Source,
    prompts: Sequence[list[int]],
    *,
    rounded: bool = False,
    bits: PackedBits | None = None,
) -> Logits:
    """In float32; `rounded`: of weights with the values that they have in the written form."""
    weights = _Values(source if rounded else replace(source, dtype=torch.float32), bits)
    model = _network(source)
    attach_align_device_hook(
        model, execution_device=CPU, offload=True, offload_buffers=True, weights_map=weights
    )
    if weights.prefix:
        encoder = encoder_of(model.config, weights.prefix)
        put_prefix(model, encoder)
        # it went where the model is, which has no values
        encoder.to_empty(device=CPU).load_state_dict(weights.prefix)
    return _all_at_once(model.eval(), prompts)


@undivided()
def _network(source: Source) -> PreTrainedModel:
    """The modules, with what is computed and not read."""
    config = config_of(source.base, source.family)
    with init_empty_weights(include_buffers=False):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    return model


@torch.inference_mode()
def _all_at_once(model: PreTrainedModel, prompts: Sequence[list[int]]) -> Logits:
    """In one batch, so that each weight is read once; whatever id fills a row is masked out."""
    ids = torch.zeros(len(prompts), max(map(len, prompts)), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(prompt)
        mask[row, : len(prompt)] = 1
    logits = model(input_ids=ids, attention_mask=mask).logits
    return [each[: len(prompt)] for each, prompt in zip(logits, prompts, strict=True)]


class _Values(Mapping[str, torch.Tensor]):
    """Name of a weight → its value in float32, made when it is asked for, some rows at a time."""

    def __init__(self, source: Source, bits: PackedBits | None) -> None:
        model = skeleton(source.base, source.family)
        self._forms = model.state_dict()
        self._weights = Weights(source, model, None)
        self.prefix = self._weights.prefix
        self._bits = bits
        self._in_bits: set[str] = set()
        if bits is not None:
            put_packed_linears(model, bits)
            scales = (name for name in model.state_dict() if name.endswith(f".{SCALE}"))
            self._in_bits = {f"{name.removesuffix(SCALE)}weight" for name in scales}

    def __getitem__(self, name: str) -> torch.Tensor:
        form = self._forms[name]
        value = torch.empty(form.shape, dtype=torch.float32)
        flat, place = value.view(-1), 0
        for block in self._weights.entry(name, form, (name,)).blocks():
            rows = self._as_packed(block) if name in self._in_bits else block
            flat[place : place + rows.numel()] = rows.reshape(-1)
            place += rows.numel()
        return value

    def _as_packed(self, rows: torch.Tensor) -> torch.Tensor:
        assert self._bits is not None
        return unpack(*pack(rows, self._bits), self._bits, torch.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._forms)

    def __len__(self) -> int:
        return len(self._forms)
