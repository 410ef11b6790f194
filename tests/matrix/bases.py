"""Small random models with tokenizers, one for each family: what a cell's run starts from."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Glm4Config, Glm4ForCausalLM

from tests.matrix.cells import BITS
from tuneglm.demo import MODEL_FOLDER, model_folder
from tuneglm.export import Export, export
from tuneglm.models import FAMILIES
from tuneglm.models.loading import load_tokenizer
from tuneglm.models.published import save_published

# bitsandbytes packs blocks of 64
HIDDEN, LAYERS, HEADS, GROUPS, CONTEXT = 64, 2, 4, 2, 256
# larger than the usual 0.02: what is trained must be felt after three steps
SPREAD = 0.1
GLM = {
    "padded_vocab_size": 5120,
    "hidden_size": HIDDEN,
    "ffn_hidden_size": 128,
    "num_layers": LAYERS,
    "num_attention_heads": HEADS,
    "kv_channels": HIDDEN // HEADS,
    "multi_query_group_num": GROUPS,
    "seq_length": CONTEXT,
}
# family → the demo model whose config.json and vocabulary it takes, and what it changes in it
DEMOS: dict[str, tuple[Path, dict[str, Any]]] = {
    "chatglm": (
        model_folder("chatglm"),
        {
            "hidden_size": HIDDEN,
            "inner_hidden_size": 128,
            "num_layers": LAYERS,
            "num_attention_heads": HEADS,
            "max_sequence_length": CONTEXT,
        },
    ),
    "chatglm2": (MODEL_FOLDER, {**GLM, "_name_or_path": "tiny-chatglm2"}),
    "chatglm3": (MODEL_FOLDER, GLM),
    "glm4": (MODEL_FOLDER, {**GLM, "padded_vocab_size": 512}),
}


def base_of(family: str, form: str, folder: Path) -> Path:
    """The folder of a family's base, `whole` or packed as `int8` or `int4`; made when missing."""
    made = folder / f"{family}-{form}"
    if not made.is_dir():
        unfinished = folder / "unfinished"
        _make(family, form, unfinished, folder)
        unfinished.rename(made)
    return made


def make_bases(folder: Path) -> None:
    """All of them."""
    forms = ("whole", *(bits for bits in BITS if bits.startswith("int")))
    for family, known in FAMILIES.items():
        for form in forms if known.layout is not None else forms[:1]:
            base_of(family, form, folder)


def _make(family: str, form: str, made: Path, folder: Path) -> None:
    torch.manual_seed(0)
    if form != "whole":
        whole = str(base_of(family, "whole", folder))
        export(Export(whole, made, bits=8 if form == "int8" else 4, family=family))
    elif family in DEMOS:
        _make_published(family, made)
    else:
        _make_native(made)


def _make_published(family: str, made: Path) -> None:
    demo, changes = DEMOS[family]
    layout = FAMILIES[family].layout
    assert layout is not None
    published = json.loads((demo / "config.json").read_text()) | changes
    model = AutoModelForCausalLM.from_config(layout.to_native_config(published))
    _spread(model)
    save_published(model, layout, made)
    if family == "glm4":
        # tiktoken's file: every byte is a token, and nothing more
        lines = [f"{base64.b64encode(bytes([i])).decode()} {i}\n" for i in range(256)]
        (made / "tokenizer.model").write_text("".join(lines))
        return
    for file in (*demo.glob("*.model"), demo / "tokenizer_config.json"):
        shutil.copy(file, made)


def _make_native(made: Path) -> None:
    """GLM-4-0414's network, and a tokenizer as transformers itself would have saved it."""
    tokenizer: Any = load_tokenizer(MODEL_FOLDER)
    config = Glm4Config(
        vocab_size=5120,
        hidden_size=HIDDEN,
        intermediate_size=128,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=GROUPS,
        head_dim=HIDDEN // HEADS,
        max_position_embeddings=CONTEXT,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = Glm4ForCausalLM(config)
    _spread(model)
    model.save_pretrained(made)
    tokenizer.save_pretrained(made)
    (made / "tokenizer.model").unlink()
    file = made / "tokenizer_config.json"
    written = json.loads(file.read_text())
    del written["family"]
    file.write_text(json.dumps(written))


@torch.no_grad()
def _spread(model: Any) -> None:
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=SPREAD)
