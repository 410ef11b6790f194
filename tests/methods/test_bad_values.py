"""A value that cannot be is one sentence, from config.json alone: no weight is read for it."""

from pathlib import Path

import pytest
from transformers import AutoConfig

from tests.methods.cells import base_of, refusal, tuned
from tuneglm.errors import ModelError
from tuneglm.export import Export, refuse_prefix

CASES = [
    ("lora", ("method.rank=0",), "method.rank"),
    ("lora", ("method.targets=query_key_valu",), "no linear layer named `query_key_valu`"),
    ("freeze", ("method.layers=4",), "has 3 layers"),
    ("freeze", ("method.layers=-4",), "has 3 layers"),
    ("freeze", ("method.layers=0",), "nothing would be trained"),
    ("freeze", ("method.modules=mpl",), "did you mean `mlp`"),
    ("p_tuning", ("method.length=256",), "context has 256 tokens"),
    ("p_tuning", ("method.length=0",), "method.length"),
    ("prompt", ("method.length=300",), "context has 256 tokens"),
    ("full", ("model.bits=4",), "packed in 4 bits"),
    ("p_tunning", (), "did you mean `p_tuning`"),
    ("p_tuning", ("method.lenght=4",), "did you mean `method.length`"),
    ("prompt", ("method.rank=4",), "no option `method.rank`"),
]


@pytest.mark.parametrize(("method", "settings", "message"), CASES, ids=str)
def test_a_bad_value(method: str, settings: tuple[str, ...], message: str, tmp_path: Path) -> None:
    source = base_of("chatglm2", tmp_path) / "config.json"
    (tmp_path / "config.json").write_text(source.read_text())
    assert message in refusal(tmp_path, "chatglm2", method, *settings)


def test_full_on_an_official_packed_checkpoint(tmp_path: Path) -> None:
    source = base_of("chatglm2", tmp_path).parent / "int4" / "config.json"
    (tmp_path / "config.json").write_text(source.read_text())
    assert "packed in 4 bits" in refusal(tmp_path, "chatglm2", "full")
    assert "whole weights" in refusal(tmp_path, "chatglm2", "lora", "method.dora=true")


@pytest.mark.parametrize("method", ["p_tuning", "prompt"])
def test_a_prefix_before_latent_attention(method: str, tmp_path: Path) -> None:
    """Its keys and values are of different sizes."""
    AutoConfig.for_model("glm4_moe_lite", num_hidden_layers=2).save_pretrained(tmp_path)
    assert "cannot see a prefix" in refusal(tmp_path, "native", method)


@pytest.mark.parametrize("method", ["p_tuning", "prompt"])
def test_a_prefix_does_not_merge(method: str, tmp_path: Path) -> None:
    made = tuned(base_of("native", tmp_path), "native", method, "method.length=5")
    with pytest.raises(ModelError, match="no weights can express"):
        refuse_prefix(made.model, Export(str(tmp_path), tmp_path / "out"))
