"""An adapter without its model: on fused modules, on split ones, and the official prefix."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import tuneglm
from tests.conftest import Configure
from tests.export.test_folder import run
from tests.export.test_merging import OPTIONS, adapter
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ModelError
from tuneglm.export import Export, export

IDS = torch.tensor([[5, 6, 7, 8]])


def logits(path: Path, **options: Any) -> torch.Tensor:
    model = tuneglm.load_model(path, dtype="float32", device="cpu", **options)
    output: torch.Tensor = model(IDS).logits
    return output


@pytest.mark.parametrize("name", ["plain", "scaled", "patterns"])
def test_on_the_fused_modules_of_the_old_code(name: str, tmp_path: Path) -> None:
    """One rank, one scale, published names; the update is the same."""
    folder = adapter(tmp_path / "adapter", OPTIONS[name])
    wanted = Export(str(folder), tmp_path / "out", layout="published", adapter_only=True)
    exported = export(wanted)
    assert exported.checked is not None and exported.checked.difference < 1e-3
    config = json.loads((exported.folder / "adapter_config.json").read_text())
    weights = load_file(exported.folder / "adapter_model.safetensors")
    assert not config.get("rank_pattern") and not config.get("use_rslora")
    ranks = {each.shape[0] for key, each in weights.items() if "lora_A" in key}
    assert ranks == {config["r"]}
    base = load_file(MODEL_FOLDER / "model.safetensors")
    modules = {key.partition(".lora_")[0].removeprefix("base_model.model.") for key in weights}
    targets = set(config["target_modules"])
    assert targets == modules or targets == {module.rpartition(".")[2] for module in modules}
    assert {path.stat().st_mode for path in exported.folder.iterdir()} == {
        (exported.folder / "README.md").stat().st_mode
    }
    assert any("query_key_value" in module for module in modules)
    for module in modules:
        up, down = (weights[f"base_model.model.{module}.lora_{it}.weight"] for it in "BA")
        assert (up @ down).shape == base[f"{module}.weight"].shape
    # as the old code does it: W + alpha / r · B A, in the published checkpoint
    merged = tmp_path / "merged"
    export(Export(str(folder), merged, layout="published", dtype="float32"))
    whole = load_file(merged / "model.safetensors")
    for module in modules:
        up, down = (weights[f"base_model.model.{module}.lora_{it}.weight"] for it in "BA")
        expected = base[f"{module}.weight"].float() + config["lora_alpha"] / config["r"] * up @ down
        torch.testing.assert_close(whole[f"{module}.weight"], expected, atol=1e-5, rtol=0)
    pickled = torch.load(exported.folder / "adapter_model.bin", weights_only=True)
    assert all(torch.equal(pickled[key], each) for key, each in weights.items())


def test_peft_loads_it_on_a_native_model(tmp_path: Path) -> None:
    """An adapter of the old code becomes one for plain transformers with peft."""
    split = adapter(tmp_path / "adapter", OPTIONS["plain"])
    fused = export(Export(str(split), tmp_path / "fused", layout="published", adapter_only=True))
    again = export(
        Export(str(fused.folder), tmp_path / "native", layout="native", adapter_only=True)
    )
    base = export(Export(str(MODEL_FOLDER), tmp_path / "base", layout="native", dtype="float32"))
    plain = AutoModelForCausalLM.from_pretrained(base.folder, dtype="float32")
    before = plain(IDS).logits.clone()
    model = PeftModel.from_pretrained(plain, again.folder).eval()
    torch.testing.assert_close(model(IDS).logits, logits(split), atol=1e-3, rtol=0)
    assert not torch.allclose(before, model(IDS).logits, atol=1e-2)


def test_rows_of_tokens_have_no_place_in_it(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "adapter", OPTIONS["tokens, read and written"])
    for layout in ("native", "published"):
        wanted = Export(str(folder), tmp_path / layout, layout=layout, adapter_only=True)
        with pytest.raises(ModelError, match="more than LoRA's two matrices") as refused:
            export(wanted)
        assert refused.value.hint == "merge it: leave --adapter-only out"


def test_a_prefix_as_the_official_scripts_save_it(configure: Configure, tmp_path: Path) -> None:
    settings = ("method=p_tuning", "method.length=4", "training.learning_rate=0.3")
    run_folder = tuneglm.train(configure(tmp_path / "run", *settings)).folder
    exported = export(Export(str(run_folder), tmp_path / "out", adapter_only=True))
    tensors = torch.load(exported.folder / "pytorch_model.bin", weights_only=True)
    assert set(tensors) == {"transformer.prefix_encoder.embedding.weight"}
    config = json.loads((exported.folder / "config.json").read_text())
    assert (config["pre_seq_len"], config["prefix_projection"]) == (4, False)
    assert (
        config["num_layers"] * 2 * config["multi_query_group_num"] * config["kv_channels"]
        == (tensors["transformer.prefix_encoder.embedding.weight"].shape[1])
    )
    torch.testing.assert_close(
        logits(MODEL_FOLDER, adapters=[exported.folder]), logits(run_folder), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (None, "is a whole model, and --adapter-only writes one adapter alone"),
        ("dora", "holds more than LoRA's two matrices"),
        ("head", "holds more than LoRA's two matrices"),
    ],
)
def test_what_has_no_such_form(
    name: str | None, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = MODEL_FOLDER if name is None else adapter(tmp_path / "adapter", OPTIONS[name])
    code, said = run(capsys, folder, tmp_path / "out", "--adapter-only")
    assert (code, sentence in said) == (2, True)
    assert not (tmp_path / "out").exists()
