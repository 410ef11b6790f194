"""A value that cannot be is one sentence, from config.json alone: no weight is read for it."""

from pathlib import Path

import pytest

from tests.methods.cells import base_of, refusal

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
