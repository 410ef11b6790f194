"""Merged weight by weight is merged as peft does it, whatever the adapter and the base's form."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

import tuneglm
from tests.conftest import Configure
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ModelError
from tuneglm.export import Export, export
from tuneglm.export.source import source_of
from tuneglm.export.streamed import write_streamed
from tuneglm.export.whole import write_whole
from tuneglm.models.merging import OtherUpdateError
from tuneglm.models.prefix import split_prefix

GOLDEN = Path(__file__).parents[1] / "parity" / "golden"
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"target_modules": ["q_proj", "v_proj", "down_proj"], "r": 4, "lora_alpha": 7},
    "scaled": {"target_modules": "all-linear", "r": 8, "use_rslora": True},
    "dora": {"target_modules": ["k_proj", "gate_up_proj"], "r": 2, "use_dora": True},
    "patterns": {
        "target_modules": ["o_proj", "q_proj"],
        "r": 4,
        "rank_pattern": {"q_proj": 2, "model.layers.1.self_attn.o_proj": 6},
        "alpha_pattern": {"o_proj": 3},
    },
    "head": {"target_modules": ["q_proj"], "r": 4, "modules_to_save": ["lm_head"]},
    "tokens": {
        "target_modules": ["q_proj"],
        "r": 4,
        "trainable_token_indices": {"embed_tokens": [5, 17]},
    },
    "tokens, read and written": {
        "target_modules": ["q_proj"],
        "r": 4,
        "trainable_token_indices": {"embed_tokens": [5, 17], "lm_head": [5, 17]},
    },
}
# peft alone knows what these do
OTHERS: dict[str, dict[str, Any]] = {
    "bias": {"target_modules": ["q_proj"], "r": 4, "lora_bias": True},
}


def adapter(folder: Path, options: dict[str, Any]) -> Path:
    """One as training leaves it: nothing in it is zero."""
    torch.manual_seed(0)
    base = tuneglm.load_model(MODEL_FOLDER, dtype="float32", device="cpu")
    model: Any = get_peft_model(base, LoraConfig(**options))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn_like(parameter) * 0.02
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder


def both(tmp_path: Path, **asked: Any) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """What is written weight by weight, and by the model as a whole."""
    wanted = Export(output=tmp_path / "none", **asked)
    source, found = source_of(wanted), []
    for write in (write_streamed, write_whole):
        folder = tmp_path / write.__name__
        folder.mkdir()
        write(source, wanted, folder)
        found.append(load_file(folder / "model.safetensors"))
        assert (folder / "config.json").is_file()
    configs = [
        (tmp_path / write.__name__ / "config.json").read_text()
        for write in (write_streamed, write_whole)
    ]
    assert configs[0] == configs[1]
    return found[0], found[1]


def assert_equal(
    first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], bound: float = 1e-6
) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype, name
        torch.testing.assert_close(tensor, second[name], atol=bound, rtol=0, msg=name)


@pytest.mark.parametrize("name", list(OPTIONS))
@pytest.mark.parametrize("layout", ["native", "published"])
def test_an_adapter(name: str, layout: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "adapter", OPTIONS[name])
    streamed, whole = both(tmp_path, path=str(folder), layout=layout, dtype="float32")
    assert_equal(streamed, whole)
    base, _ = both(_made(tmp_path / "base"), path=str(MODEL_FOLDER), layout=layout, dtype="float32")
    changed = [key for key in base if not torch.equal(base[key], streamed[key])]
    assert 0 < len(changed) < len(base)
    if "trainable_token_indices" in OPTIONS[name]:
        words = max(each.shape[0] for each in base.values())
        tables = [key for key in changed if base[key].shape[0] == words]
        assert len(tables) == len(OPTIONS[name]["trainable_token_indices"])
        for key in tables:
            rows = (base[key] != streamed[key]).any(1).nonzero().squeeze(1)
            assert rows.tolist() == [5, 17]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", list(OTHERS))
def test_what_peft_alone_can_merge_goes_the_other_way(name: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "adapter", OTHERS[name])
    wanted = Export(str(folder), tmp_path / "out", dtype="float32")
    with pytest.raises(OtherUpdateError):
        write_streamed(source_of(wanted), wanted, tmp_path)
    from tuneglm.export import export

    assert export(wanted).checked is not None


def test_what_a_run_left_and_what_came_before_it(configure: Configure, tmp_path: Path) -> None:
    """A chain of LoRA, weights of their own on top, and LoRA beside it."""
    first = tuneglm.train(configure(tmp_path / "first", "method=lora")).folder
    chain = tuneglm.train(
        configure(tmp_path / "second", "method=freeze", f"model.adapters=[{first}]")
    ).folder
    streamed, whole = both(tmp_path, path=str(chain), dtype="float32")
    assert_equal(streamed, whole)
    only = both(_made(tmp_path / "only"), path=str(first), dtype="float32")[0]
    assert any(not torch.equal(only[key], streamed[key]) for key in only)


@pytest.mark.parametrize("bits", [None, 8, 4])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_width_of_the_base_and_of_the_result(bits: Any, dtype: str, tmp_path: Path) -> None:
    """Without an adapter they are equal bit by bit, also from a base that is packed."""
    streamed, whole = both(tmp_path, path=str(MODEL_FOLDER), bits=bits, dtype=dtype)
    assert_equal(streamed, whole, bound=0)
    if bits is None:
        return
    packed = tmp_path / "write_streamed"
    for file in MODEL_FOLDER.glob("token*"):
        (packed / file.name).write_bytes(file.read_bytes())
    again = both(_made(tmp_path / "again"), path=str(packed), layout="native", dtype=dtype)
    assert_equal(*again, bound=0)


def test_merged_in_few_bits_is_nearer_to_the_exact_one(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "adapter", OPTIONS["plain"])
    exact, _ = both(_made(tmp_path / "exact"), path=str(folder), dtype="float32")
    streamed, whole = both(tmp_path, path=str(folder), dtype="bfloat16")

    def error(weights: dict[str, torch.Tensor]) -> float:
        return sum(float((weights[key].float() - exact[key]).square().sum()) for key in exact)

    assert error(streamed) <= error(whole)
    assert_equal(streamed, whole, bound=2e-2)


@pytest.mark.parametrize("layout", ["native", "published"])
@pytest.mark.parametrize(
    ("family", "base", "beside"),
    [
        ("chatglm", "v1/base", "v1/lora_adapter"),
        ("chatglm", "v1/sharded_bin", None),
        ("chatglm", "v1/int4", None),
        ("chatglm2", "v2/base", "v2/lora_adapter"),
        ("chatglm2", "v2/int8", None),
        ("chatglm3", "v3/base", "v3/lora_adapter"),
        ("glm4", "glm4/base", None),
    ],
)
def test_every_family_as_published(
    family: str, base: str, beside: str | None, layout: str, tmp_path: Path
) -> None:
    """With adapters of the old code, on fused modules; from shards, pickles and bits."""
    asked: dict[str, Any] = {"path": str(GOLDEN / base), "family": family, "layout": layout}
    adapters = () if beside is None else (str(GOLDEN / beside),)
    streamed, whole = both(tmp_path, adapters=adapters, dtype="float32", **asked)
    assert_equal(streamed, whole)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("name", ["prefix", "prefix_projection"])
@pytest.mark.parametrize(("family", "version"), [("chatglm", "v1"), ("chatglm3", "v3")])
def test_a_prefix_goes_with_its_model(
    name: str, family: str, version: str, apart: bool, tmp_path: Path
) -> None:
    """As it lies in one folder, and as the official scripts leave it beside its model."""
    folder = GOLDEN / version / name
    asked: dict[str, Any] = {"path": str(folder), "family": family, "layout": "published"}
    if apart:
        prefix, weights = split_prefix(load_file(folder / "model.safetensors"))
        config = json.loads((folder / "config.json").read_text())
        beside = _made(tmp_path / "prefix")
        named = {f"transformer.prefix_encoder.{key}": each for key, each in prefix.items()}
        torch.save(named, beside / "pytorch_model.bin")
        (beside / "config.json").write_text(json.dumps(config))
        base = _made(tmp_path / "base")
        save_file(weights, base / "model.safetensors")
        del config["pre_seq_len"], config["prefix_projection"]
        (base / "config.json").write_text(json.dumps(config))
        asked |= {"path": str(base), "adapters": (str(beside),)}
    streamed, whole = both(tmp_path, dtype="float32", **asked)
    assert_equal(streamed, whole)
    published = load_file(folder / "model.safetensors")
    for key in (key for key in streamed if "prefix_encoder" in key):
        torch.testing.assert_close(streamed[key], published[key].float())
    assert any("prefix_encoder" in key for key in streamed)


@pytest.mark.parametrize("method", ["p_tuning", "prompt"])
def test_a_prefix_does_not_merge(configure: Configure, tmp_path: Path, method: str) -> None:
    tuneglm.train(configure(tmp_path / "out", f"method={method}", "training.max_steps=1"))
    with pytest.raises(ModelError, match="no weights can express"):
        export(Export(str(tmp_path / "out"), tmp_path / "whole"))
    assert not (tmp_path / "whole").exists()
