"""A value that cannot be is one sentence, from config.json alone: no weight is read for it."""

import json
from pathlib import Path

import pytest
from transformers import AutoConfig

from tests.methods.cells import base_of, refusal
from tuneglm.cli import main

CASES = [
    ("lora", ("method.rank=0",), "method.rank"),
    ("lora", ("method.targets=query_key_valu",), "no linear layer named `query_key_valu`"),
    ("freeze", ("method.layers=4",), "has 3 layers"),
    ("freeze", ("method.layers=-4",), "has 3 layers"),
    ("freeze", ("method.layers=0",), "nothing would be trained"),
    ("freeze", ("method.modules=mpl",), "did you mean `mlp`"),
    ("lora", ("method.rank=4096",), "is more than the matrices have"),
    ("p_tuning", ("method.length=256",), "context has 256 tokens"),
    ("p_tuning", ("method.length=0",), "method.length"),
    ("prompt", ("method.length=300",), "context has 256 tokens"),
    ("full", ("model.bits=4",), "packed in 4 bits"),
    ("p_tunning", (), "did you mean `p_tuning`"),
    ("p_tuning", ("method.lenght=4",), "did you mean `method.length`"),
    ("prompt", ("method.rank=4",), "no option `method.rank`"),
]


@pytest.mark.parametrize(("method", "settings", "message"), CASES, ids=str)
def test_a_bad_value(
    method: str,
    settings: tuple[str, ...],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert message in said(tmp_path, capsys, f"method={method}", *settings)


def test_adapters_of_different_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their own files say which: no weight is there that could be read."""
    for name, base in (("one", "zai-org/chatglm2-6b"), ("other", "zai-org/chatglm3-6b")):
        (tmp_path / name).mkdir()
        config = {"peft_type": "LORA", "base_model_name_or_path": base}
        (tmp_path / name / "adapter_config.json").write_text(json.dumps(config))
    sentence = said(tmp_path, capsys, f"model.adapters=[{tmp_path}/one,{tmp_path}/other]")
    assert "are of different models: `chatglm2-6b` and `chatglm3-6b`" in sentence


def said(folder: Path, capsys: pytest.CaptureFixture[str], *settings: str) -> str:
    """The sentence with which `tuneglm train` ends, of a model whose config.json alone is there."""
    source = base_of("chatglm2", folder) / "config.json"
    (folder / "config.json").write_text(source.read_text())
    model = (f"model.path={folder}", "model.family=chatglm2")
    rows = ("data.train=rows.json", f"training.output_dir={folder / 'out'}")
    with pytest.raises(SystemExit) as left:
        main(["train", *model, *rows, *settings])
    printed = capsys.readouterr()
    assert left.value.code == 2 and printed.out == ""
    sentence, *hints = printed.err.splitlines()
    assert sentence.startswith("Error: ") and len(hints) <= 1
    assert not (folder / "out").exists()
    return printed.err


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
