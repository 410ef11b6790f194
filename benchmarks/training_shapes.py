"""The models and rows that the speed of training is measured with.

A model's weights are random and its folder is real: `tuneglm train` and transformers load it
as any other. Rows are encoded once, so that all sides train the same tokens.
"""

import json
import random
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HEAD_WIDTH = 64
GROUPS = 2  # of keys and values, as in the published models
ROWS, TINY_ROWS = 256, 16
PUBLISHED = {"chatglm": "chatglm-6b", "chatglm3": "chatglm3-6b"}
EXAMPLE = dict[str, list[int]]


@dataclass(frozen=True)
class Shape:
    """A model's sizes; `family` renders its rows, and `chatglm` is a network of its own.

    rows  of its material
    """

    name: str
    family: str
    hidden: int
    layers: int
    vocabulary: int
    rows: int = ROWS

    @property
    def inner(self) -> int:
        """Width inside the MLP."""
        return (4 if self.family == "chatglm" else 3) * self.hidden

    @property
    def words(self) -> str:
        """As a table shows it."""
        kind = "ChatGLM-6B's layout" if self.family == "chatglm" else "native GLM"
        return f"{kind}, {self.hidden:,} × {self.layers}, vocabulary {self.vocabulary:,}"

    def operations(self, trained: float, square: float) -> float:
        """Useful floating-point operations of a LoRA step for each token; the adapter's left out.

        Products forward, and back to their inputs; the head's of the trained share of tokens
        alone.

        trained  share of the tokens that carry a label
        square   mean over tokens of the tokens that one sees
        """
        kept = self.hidden if self.family == "chatglm" else GROUPS * HEAD_WIDTH
        attention = 2 * self.hidden * (self.hidden + kept)
        feed = (2 if self.family == "chatglm" else 3) * self.hidden * self.inner
        scores = 2 * self.hidden * square
        head = self.hidden * self.vocabulary * trained
        # weights: forward and the gradient of the input; scores: forward and both inputs
        return 4 * (self.layers * (attention + feed) + head) + 6 * self.layers * scores


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("A", "chatglm3", 512, 8, 65_024),
        Shape("B", "chatglm3", 1024, 12, 8_192),
        Shape("C", "chatglm", 512, 8, 130_528),
    )
}
# a first look: half as wide and as deep, the vocabulary of half the size where it is large
QUICK = {
    name: replace(
        shape,
        hidden=shape.hidden // 2,
        layers=shape.layers // 2,
        vocabulary=max(8_192, shape.vocabulary // 2),
    )
    for name, shape in SHAPES.items()
}
# what a test needs: seconds. Fewer words than the demo's tokenizers have there cannot be, and
# fewer layers than are tuned by `freeze`
TINY = {
    name: replace(shape, hidden=64, layers=4, vocabulary=6_144, rows=TINY_ROWS)
    for name, shape in SHAPES.items()
}


@dataclass(frozen=True)
class Material:
    """What one shape is measured with.

    data      the rows as `data.train` takes them
    examples  the same rows encoded: a JSON list of `input_ids` and `labels`
    tokens, trained, square  of all rows: tokens, those with a label, sum of squared lengths
    """

    shape: Shape
    model: Path
    data: Path
    examples: Path
    tokens: int
    trained: int
    square: int

    @property
    def operations(self) -> float:
        """Useful operations a token; see Shape.operations."""
        seen = self.square / self.tokens
        # a token sees those before it: half of its row; in ChatGLM-6B's all of the context
        return self.shape.operations(self.trained / self.tokens, seen / 2)


def material(shape: Shape, folder: Path, data: Path | None, tokenizers: Path | None) -> Material:
    """Model and rows of a shape below `folder`, made anew.

    data        Alpaca rows in JSON; None: the demo's text
    tokenizers  published tokenizers, one folder a model; None, or where its ids are more than
                the shape's vocabulary: the demo model's
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(shape, tokenizers)
    build_model(shape, folder / "model", tokenizer)
    rows = folder / "rows.json"
    rows.write_text(json.dumps(_rows(data, shape.rows), ensure_ascii=False), encoding="utf-8")
    examples = _longest_first(encoded(folder / "model", rows))
    (folder / "examples.json").write_text(json.dumps(examples))
    lengths = [len(each["input_ids"]) for each in examples]
    return Material(
        shape,
        folder / "model",
        rows,
        folder / "examples.json",
        sum(lengths),
        sum(label >= 0 for each in examples for label in each["labels"]),
        sum(length**2 for length in lengths),
    )


def _rows(data: Path | None, count: int) -> list[dict[str, Any]]:
    if data is None:
        # here, since contenders' processes import this file and are to be without tuneglm
        from batching_speed import wide_rows

        return wide_rows(count)
    rows: list[dict[str, Any]] = json.loads(data.read_text(encoding="utf-8"))
    return random.Random(0).sample(rows, min(count, len(rows)))


def _longest_first(examples: list[EXAMPLE]) -> list[EXAMPLE]:
    """The longest row comes in every epoch: here in the first batch, for whoever keeps the order.

    A peak of memory is then seen in few steps.
    """
    longest = max(examples, key=lambda each: len(each["input_ids"]))
    return [longest, *(each for each in examples if each is not longest)]


def encoded(model: Path, rows: Path) -> list[EXAMPLE]:
    """The rows as tuneglm trains them, its defaults untouched."""
    from tuneglm.config import load_config
    from tuneglm.data.examples import load_examples
    from tuneglm.data.pipeline import encode_data
    from tuneglm.models.encoder import load_encoder

    config = load_config(None, [f"model.path={model}", f"data.train={rows}"])
    encoder = load_encoder(config.model, config.data).encoder
    data: Any = encode_data(load_examples(config.data), encoder, config.data).train
    return [{"input_ids": row.input_ids, "labels": row.labels} for row in data.rows]


def _tokenizer(shape: Shape, tokenizers: Path | None) -> Path:
    from tuneglm.demo import model_folder

    published = tokenizers / PUBLISHED[shape.family] if tokenizers else None
    if published is None or not published.is_dir():
        return model_folder(shape.family)
    size = json.loads((published / "config.json").read_text(encoding="utf-8"))
    needed = size.get("padded_vocab_size", size.get("vocab_size"))
    return published if needed <= shape.vocabulary else model_folder(shape.family)


def build_model(shape: Shape, folder: Path, tokenizer: Path) -> None:
    """A folder of 16-bit weights with the tokenizer's files.

    The head says nothing to the end tokens, so that a greedy answer goes on to its limit.
    """
    import torch

    from tuneglm.models import family_named

    folder.mkdir(parents=True)
    for file in tokenizer.iterdir():
        if file.is_file() and file.suffix not in (".safetensors", ".bin"):
            shutil.copy(file, folder / file.name)
    for name in ("config.json", "figures.json", "pytorch_model.bin.index.json"):
        (folder / name).unlink(missing_ok=True)
    torch.manual_seed(0)
    published = json.loads((tokenizer / "config.json").read_text(encoding="utf-8"))
    model = _published(shape, published) if shape.family == "chatglm" else _native(shape)
    family = family_named(shape.family)
    ends = list(family.end_tokens(family.load_tokenizer(folder)))
    with torch.no_grad():
        if not model.config.tie_word_embeddings:
            model.get_output_embeddings().weight[ends] = 0
    if shape.family == "chatglm":
        from tuneglm.models.published import save_published

        save_published(model, family.layout, folder)
    else:
        model.save_pretrained(folder)
        _name_family(folder, shape.family)


def _published(shape: Shape, published: dict[str, Any]) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    from tuneglm.models import family_named

    layout: Any = family_named(shape.family).layout
    config = layout.to_native_config(
        published
        | {
            "vocab_size": shape.vocabulary,
            "hidden_size": shape.hidden,
            "inner_hidden_size": shape.inner,
            "num_layers": shape.layers,
            "num_attention_heads": shape.hidden // HEAD_WIDTH,
            "max_sequence_length": 8192,
        }
    )
    return AutoModelForCausalLM.from_config(config, dtype=torch.float16)


def _native(shape: Shape) -> Any:
    import torch
    from transformers import GlmConfig, GlmForCausalLM

    heads = shape.hidden // HEAD_WIDTH
    config = GlmConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=heads,
        num_key_value_heads=min(GROUPS, heads),
        head_dim=HEAD_WIDTH,
        max_position_embeddings=8192,
        attention_bias=True,
        tie_word_embeddings=False,
        pad_token_id=0,
        eos_token_id=2,
        bos_token_id=1,
    )
    return GlmForCausalLM(config).to(torch.bfloat16)


def _name_family(folder: Path, family: str) -> None:
    """Only the tokenizer's files tell how the rows of a native model are written."""
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "family": family}), encoding="utf-8")
