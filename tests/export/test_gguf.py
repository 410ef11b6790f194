"""A file for llama.cpp: what it says is what the model is, by names and rules written down here."""

import base64
import json
import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import regex
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.torch import save_file

import tuneglm
from tests.export.test_folder import run
from tests.export.test_merging import OPTIONS, adapter
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ModelError, OutputError
from tuneglm.export import Export, export, gguf_file
from tuneglm.models import family_named
from tuneglm.models.glm4.tokenization import Glm4TokenizerFast, byte_characters
from tuneglm.models.llama_cpp import Vocabulary, byte_vocabulary
from tuneglm.models.tokenization import add_specials

IDS = torch.tensor([[5, 6, 7, 8]])
# llama.cpp's names for this network → the published ones
NAMES = {
    "token_embd": "transformer.embedding.word_embeddings",
    "output_norm": "transformer.encoder.final_layernorm",
    "output": "transformer.output_layer",
}
BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_qkv": "self_attention.query_key_value",
    "attn_output": "self_attention.dense",
    "ffn_norm": "post_attention_layernorm",
    "ffn_up": "mlp.dense_h_to_4h",
    "ffn_down": "mlp.dense_4h_to_h",
}
TEXTS = ("你好，请介绍一下你自己。", "Hello, who are you?", "3 + 4 = 7", "a\n\tb  c", "π😀")


def published(name: str) -> str:
    module, _, leaf = name.rpartition(".")
    if not module.startswith("blk."):
        return f"{NAMES[module]}.{leaf}"
    _, layer, short = module.split(".")
    return f"transformer.encoder.layers.{layer}.{BLOCK_NAMES[short]}.{leaf}"


def read(folder: Path) -> tuple[GGUFReader, dict[str, torch.Tensor]]:
    (path,) = folder.glob("*.gguf")
    reader = GGUFReader(path)
    weights = {}
    for each in reader.tensors:
        data = dequantize(each.data, each.tensor_type)
        shape = [int(size) for size in reversed(each.shape)]
        weights[published(each.name)] = torch.from_numpy(np.array(data)).reshape(shape).float()
    return reader, weights


def field(reader: GGUFReader, name: str) -> Any:
    return reader.fields[name].contents()


@pytest.mark.parametrize(
    ("words", "bound"), [({"dtype": "float32"}, 1e-4), ({}, 5e-2), ({"bits": 8}, 1.5)]
)
def test_the_tensors_are_the_merged_model(
    words: dict[str, Any], bound: float, tmp_path: Path
) -> None:
    """Under llama.cpp's names; put into the published layout again they give its logits."""
    folder = adapter(tmp_path / "adapter", OPTIONS["plain"])
    exported = export(Export(str(folder), tmp_path / "out", format="gguf", **words))
    assert "45 tensors and 5,120 tokens" in str(exported.checked)
    _, weights = read(exported.folder)
    again = tmp_path / "again"
    again.mkdir()
    save_file(weights, again / "model.safetensors")
    config = json.loads((MODEL_FOLDER / "config.json").read_text())
    (again / "config.json").write_text(json.dumps(config | {"torch_dtype": "float32"}))
    options: Any = {"dtype": "float32", "device": "cpu", "family": "chatglm3"}
    expected = tuneglm.load_model(folder, dtype="float32", device="cpu")(IDS).logits
    got = tuneglm.load_model(again, **options)(IDS).logits
    torch.testing.assert_close(got, expected, atol=bound, rtol=0)


def test_the_settings_are_those_of_the_network(tmp_path: Path) -> None:
    reader, _ = read(export(Export(str(MODEL_FOLDER), tmp_path / "out", format="gguf")).folder)
    config = json.loads((MODEL_FOLDER / "config.json").read_text())
    assert field(reader, "general.architecture") == "chatglm"
    expected = {
        "context_length": config["seq_length"],
        "embedding_length": config["hidden_size"],
        "feed_forward_length": config["ffn_hidden_size"],
        "block_count": config["num_layers"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config["multi_query_group_num"],
        "rope.dimension_count": config["kv_channels"] // 2,
        "rope.freq_base": 10000.0,
    }
    assert {name: field(reader, f"chatglm.{name}") for name in expected} == expected
    epsilon = field(reader, "chatglm.attention.layer_norm_rms_epsilon")
    assert epsilon == pytest.approx(config["layernorm_epsilon"])


def spm_ids(text: str, tokens: list[str], scores: list[float], prefix: bool) -> list[int]:
    """llama.cpp's way: of all neighbours the pair of the best score, leftmost first; else bytes."""
    index = {token: place for place, token in enumerate(tokens)}
    parts = list(("▁" if prefix else "") + text.replace(" ", "▁"))
    while True:
        pairs = [
            (-scores[index[parts[at] + parts[at + 1]]], at)
            for at in range(len(parts) - 1)
            if parts[at] + parts[at + 1] in index
        ]
        if not pairs:
            break
        _, at = min(pairs)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    ids: list[int] = []
    for part in parts:
        known = [index[part]] if part in index else []
        ids += known or [index[f"<0x{byte:02X}>"] for byte in part.encode()]
    return ids


def test_the_vocabulary_gives_the_same_ids(tmp_path: Path) -> None:
    """By scores, as llama.cpp goes by them; specials and ends are where they belong."""
    reader, _ = read(export(Export(str(MODEL_FOLDER), tmp_path / "out", format="gguf")).folder)
    tokens, scores = (field(reader, f"tokenizer.ggml.{name}") for name in ("tokens", "scores"))
    kinds = field(reader, "tokenizer.ggml.token_type")
    prefix = field(reader, "tokenizer.ggml.add_space_prefix")
    tokenizer: Any = tuneglm.load_tokenizer(MODEL_FOLDER)
    assert len(tokens) == len(scores) == len(kinds) == 5120
    for text in TEXTS:
        assert spm_ids(text, tokens, scores, prefix) == tokenizer.encode_bulk([text])[0], text
    ends = family_named("chatglm3").end_tokens(tokenizer)
    assert field(reader, "tokenizer.ggml.eos_token_id") in ends
    assert field(reader, "tokenizer.ggml.eot_token_id") in ends
    assert not field(reader, "tokenizer.ggml.add_bos_token")
    user = tokenizer.convert_tokens_to_ids("<|user|>")
    assert (tokens[user], kinds[user]) == ("<|user|>", 3)
    assert tokens[-1] == "[PAD5119]" and kinds[-1] == 5
    template = field(reader, "tokenizer.chat_template")
    # what the template writes is in the vocabulary under the same name
    assert "<sop>" in template and "<sop>" in tokens


def tokenizer_of(ranks: list[bytes]) -> Any:
    """GLM-4's with a small vocabulary."""
    lines = b"\n".join(base64.b64encode(each) + b" %d" % at for at, each in enumerate(ranks))
    kind = Glm4TokenizerFast
    backend = kind.build(lines)
    add_specials(backend, kind.specials, kind.single, kind.pair, kind.eos_name)
    return kind(tokenizer_object=backend, eos_token=kind.eos_name, pad_token=kind.pad_name)


def test_a_byte_level_vocabulary() -> None:
    """GLM-4's: tokens and merges by byte characters, specials behind them."""
    ranks = [bytes([byte]) for byte in range(256)] + [b"he", b"ll", b"hell", b"hello"]
    tokenizer, kind = tokenizer_of(ranks), Glm4TokenizerFast
    size = len(ranks) + len(kind.specials) + 3
    vocabulary = byte_vocabulary(tokenizer, Path(), size)
    shown = byte_characters()
    assert vocabulary.tokens[: len(ranks)] == ["".join(shown[it] for it in each) for each in ranks]
    assert vocabulary.tokens[len(ranks) : -3] == list(kind.specials)
    assert vocabulary.kinds == [1] * len(ranks) + [3] * len(kind.specials) + [5] * 3
    assert vocabulary.merges == ["h e", "l l", "he ll", "hell o"]
    assert (vocabulary.model, vocabulary.pre) == ("gpt2", "chatglm-bpe")
    assert vocabulary.ids["eot"] == len(ranks) + kind.specials.index("<|user|>")
    with pytest.raises(ModelError, match="embeddings"):
        byte_vocabulary(tokenizer, Path(), len(ranks) + 2)


# how llama.cpp cuts a text into words under the name `chatglm-bpe`
CUT = (
    r"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def bpe_ids(text: str, vocabulary: Vocabulary) -> list[int]:
    """llama.cpp's way: of each word's neighbours the pair whose merge stands first, leftmost."""
    index = {token: place for place, token in enumerate(vocabulary.tokens)}
    order = {tuple(merge.split(" ")): place for place, merge in enumerate(vocabulary.merges)}
    shown, ids = byte_characters(), []
    for word in regex.findall(CUT, text):
        parts = [shown[byte] for byte in word.encode()]
        while pairs := [
            (order[pair], at) for at, pair in enumerate(pairwise(parts)) if pair in order
        ]:
            _, at = min(pairs)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        ids += [index[part] for part in parts]
    return ids


def trained_ranks(texts: Sequence[str], count: int) -> list[bytes]:
    """Bytes, and the most frequent pair again and again, as tiktoken's ranks came about."""
    words = [[bytes([byte]) for byte in word.encode()] for t in texts for word in _words(t)]
    ranks = [bytes([byte]) for byte in range(256)]
    for _ in range(count):
        pairs = Counter(pair for word in words for pair in pairwise(word))
        (left, right), _ = max(pairs.items(), key=lambda item: (item[1], item[0]))
        ranks.append(left + right)
        for word in words:
            for at in range(len(word) - 2, -1, -1):
                if word[at : at + 2] == [left, right]:
                    word[at : at + 2] = [left + right]
    return list(dict.fromkeys(ranks))


def _words(text: str) -> list[str]:
    return list(regex.findall(CUT, text))


def test_a_byte_level_vocabulary_gives_the_same_ids() -> None:
    """By merges, as llama.cpp goes by them: on prose, on what it has not seen, on all spaces."""
    pages = Path(__file__).parents[2] / "docs"
    seen = [(pages / language / "export.md").read_text("utf-8") for language in ("zh", "en")]
    other = [(pages / language / "chat.md").read_text("utf-8") for language in ("zh", "en")]
    tokenizer = tokenizer_of(trained_ranks(seen, 300))
    size = max(tokenizer.added_tokens_decoder) + 1
    vocabulary = byte_vocabulary(tokenizer, Path(), size)
    draw = random.Random(0)
    mixed = ["".join(draw.choices("aab 12'sST\n\t你好的。😀é", k=40)) for _ in range(50)]
    for text in (*seen, *other, *TEXTS, *mixed, "  \n\n  a's IT'S 12345 ﬁ", "aaaaaaaaaaa"):
        expected = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert bpe_ids(text, vocabulary) == expected == tokenizer.encode_bulk([text])[0], text


def test_a_file_that_differs_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = gguf_file._write_tensors

    def exchanged(writer: Any, tensors: list[Any]) -> None:
        """Two of one form change places."""
        names = {each.name: at for at, each in enumerate(tensors)}
        first, second = names["blk.0.attn_norm.weight"], names["blk.1.attn_norm.weight"]
        from dataclasses import replace

        changed = list(tensors)
        changed[first] = replace(tensors[first], entry=tensors[second].entry)
        write(writer, changed)

    monkeypatch.setattr(gguf_file, "_write_tensors", exchanged)
    with pytest.raises(OutputError, match=r"`blk\.0\.attn_norm\.weight` is another tensor"):
        export(Export(str(MODEL_FOLDER), tmp_path / "out", format="gguf"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--bits", 4], "which llama.cpp does not read"),
        (["--adapter-only"], "do not go together"),
    ],
)
def test_what_cannot_be(
    words: list[Any], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(capsys, MODEL_FOLDER, tmp_path / "out", "--format", "gguf", *words)
    assert (code, sentence in said) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_family_that_llama_cpp_does_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tuneglm.demo import model_folder

    code, said = run(capsys, model_folder("chatglm"), tmp_path / "out", "--format", "gguf")
    assert code == 2
    assert "The family `chatglm` cannot be written for llama.cpp here." in said
