"""tuneglm export: whole weights of a model, or of what a run made of it, in every form."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tuneglm import load_model
from tuneglm.cli import main
from tuneglm.demo import MODEL_FOLDER

DEMO = MODEL_FOLDER
IDS = torch.tensor([[5, 6, 7, 8]])


def export(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["export", *map(str, arguments)])
    return int(stopped.value.code or 0)


def logits(folder: Path, **options: Any) -> torch.Tensor:
    model = load_model(folder, **{"dtype": "float32", "device": "cpu", **options})
    output: torch.Tensor = model(IDS).logits
    return output


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained adapter on the demo's model, as a run saves it."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model = get_peft_model(
        load_model(DEMO, dtype="float32", device="cpu"),
        LoraConfig(target_modules=["q_proj", "down_proj"], r=4),
    )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    folder = tmp_path_factory.mktemp("adapter")
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder


@pytest.mark.parametrize("layout", ["native", "published"])
def test_an_adapter_is_merged_in_both_layouts(adapter: Path, layout: str, tmp_path: Path) -> None:
    assert export(adapter, tmp_path / "out", "--layout", layout, "--dtype", "float32") == 0
    apart = logits(adapter)
    torch.testing.assert_close(logits(tmp_path / "out"), apart, atol=1e-5, rtol=0)
    assert not torch.allclose(apart, logits(DEMO), atol=1e-2)
    if layout == "native":
        plain = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="float32")
        torch.testing.assert_close(plain(IDS).logits, apart, atol=1e-5, rtol=0)


def test_what_was_exported_says_what_it_wrote(
    adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(adapter, tmp_path / "out")
    output = capsys.readouterr().out
    assert "Saved" in output and f"chat {tmp_path / 'out'}" in output


@pytest.mark.parametrize("bits", [4, 8])
def test_the_official_packed_form(bits: int, tmp_path: Path) -> None:
    assert export(DEMO, tmp_path / "out", "--bits", bits) == 0
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["quantization_bit"] == bits
    packed = load_file(tmp_path / "out" / "model.safetensors")
    name = "transformer.encoder.layers.0.self_attention.query_key_value.weight"
    whole = load_file(DEMO / "model.safetensors")[name]
    assert packed[name].dtype == torch.int8
    assert packed[name].shape[1] * 8 // bits == whole.shape[1]
    near = torch.nn.functional.cosine_similarity(logits(tmp_path / "out"), logits(DEMO), dim=-1)
    assert near.min() > (0.999 if bits == 8 else 0.85)


def test_a_packed_model_in_16_bits_again(tmp_path: Path) -> None:
    export(DEMO, tmp_path / "packed", "--bits", 8)
    assert export(tmp_path / "packed", tmp_path / "whole") == 0
    assert "quantization_bit" not in json.loads((tmp_path / "whole" / "config.json").read_text())
    torch.testing.assert_close(
        logits(tmp_path / "whole"), logits(tmp_path / "packed"), atol=2e-2, rtol=0
    )


def test_a_folder_that_holds_something_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("dear to me")
    assert export(DEMO, tmp_path) == 2
    assert "holds something already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_place_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert export(DEMO, "/proc/nowhere/out") == 2
    assert "Cannot write to `/proc/nowhere/out`" in capsys.readouterr().err


def test_a_model_without_a_published_layout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(DEMO, tmp_path / "native", "--layout", "native")
    assert (
        export(tmp_path / "native", tmp_path / "a", "--family", "native", "--layout", "published")
        == 2
    )
    assert "has no published layout" in capsys.readouterr().err
