"""Every small model that a method is tried on, and one step on it."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from tuneglm.config import load_config
from tuneglm.errors import UserError
from tuneglm.methods import METHODS, check_method, tune
from tuneglm.methods.tuned import Tuned
from tuneglm.models import family_named
from tuneglm.models.loading import load_model
from tuneglm.models.published import save_published

GOLDEN = Path(__file__).parents[1] / "parity" / "golden"
PUBLISHED = {"chatglm": "v1", "chatglm2": "v2", "chatglm3": "v3", "glm4": "glm4"}
FAMILIES = (*PUBLISHED, "native")
WIDE = {
    "hidden_size": 64,
    "inner_hidden_size": 128,
    "ffn_hidden_size": 128,
    "kv_channels": 16,
}
# bos and gmask of the small models of the first family; any ids to the others
CONTEXT = [20, 21, 22, 23, 501, 504]
IDS = torch.tensor([[*CONTEXT, 30, 31, 32, 33], [3, 3, *CONTEXT, 40, 41]])
MASK = (IDS != 3).long()
LABELS = IDS.masked_fill(torch.tensor([[1] * 6 + [0] * 4, [1] * 8 + [0] * 2]).bool(), -100)


def base_of(family: str, folder: Path, *, wide: bool = False) -> Path:
    """The folder of a small random model; bitsandbytes packs blocks of 64 in `wide` ones."""
    if family in PUBLISHED and not wide:
        return GOLDEN / PUBLISHED[family] / "base"
    made = folder / "base"
    if made.is_dir():
        return made
    torch.manual_seed(0)
    if family == "native":
        sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3}
        heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
        config = LlamaConfig(vocab_size=512, **sizes, **heads, pad_token_id=3)
        LlamaForCausalLM(config).save_pretrained(made)
        return made
    layout = family_named(family).layout
    assert layout is not None
    published = read_json(GOLDEN / PUBLISHED[family] / "base" / "config.json")
    sizes = {key: value for key, value in WIDE.items() if key in published}
    model = AutoModelForCausalLM.from_config(layout.to_native_config({**published, **sizes}))
    save_published(model, layout, made)
    return made


def load(folder: Path, family: str, **options: Any) -> Any:
    chosen = {"dtype": "float32", "device": "cpu", **options}
    return load_model(folder, family=family, **chosen)


def configured(folder: Path, family: str, method: str, *overrides: str) -> Any:
    settings = (f"model.path={folder}", f"model.family={family}", f"method={method}", *overrides)
    return load_config(None, settings)


def tuned(
    folder: Path, family: str, method: str, *overrides: str, dtype: str = "float32", **options: Any
) -> Tuned:
    """The model as a method leaves it, having judged it first."""
    torch.manual_seed(1)
    config = configured(folder, family, method, *overrides)
    check_method(config, folder, family_named(family))
    held = "float32" if METHODS[method].trains_base else dtype
    model = load(folder, family, dtype=held, **options)
    return tune(model, config.method, family_named(family))


def refusal(folder: Path, family: str, method: str, *overrides: str) -> str:
    """The sentence with which a method refuses a model, of which only config.json is there."""
    try:
        config = configured(folder, family, method, *overrides)
        check_method(config, folder, family_named(family))
    except UserError as error:
        return str(error)
    return ""


def inputs() -> dict[str, torch.Tensor]:
    return {"input_ids": IDS, "attention_mask": MASK}


def train(made: Tuned, rate: float, steps: int = 3) -> list[float]:
    """Losses of some steps of AdamW on one batch."""
    model = made.model.train()
    weights = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
    losses = []
    for _ in range(steps):
        loss = model(**inputs(), labels=LABELS).loss
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    return losses


@torch.inference_mode()
def logits(model: Any) -> torch.Tensor:
    """Of the positions that are no padding."""
    output: torch.Tensor = model(**inputs()).logits
    return output[MASK.bool()].float()


def read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))
