"""Runs that start from adapters: merged in order, the last continued or a fresh one started."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import Configure
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ConfigError, ModelError
from tuneglm.export import Export, export
from tuneglm.models.bases import BASE_FILE
from tuneglm.models.loading import load_model
from tuneglm.training import train

IDS = torch.arange(300, 330)[None]
SHORT = ("training.max_steps=2", "training.learning_rate=0.01")
SETTINGS = {
    "lora": ("method=lora",),
    "freeze": ("method=freeze", "method.layers=1"),
    "p_tuning": ("method=p_tuning", "method.length=4", "method.dropout=0"),
    "prompt": ("method=prompt", "method.length=4"),
}


def logits(path: Path, **options: Any) -> torch.Tensor:
    with torch.inference_mode():
        output: torch.Tensor = load_model(path, dtype="float32", device="cpu", **options)(
            IDS
        ).logits
    return output


@pytest.fixture(scope="module")
def adapters(configure: Configure, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained adapter of each method."""
    folder = tmp_path_factory.mktemp("adapters")
    return {
        name: train(configure(folder / name, *options, *SHORT)).folder
        for name, options in SETTINGS.items()
    }


@pytest.mark.parametrize("method", SETTINGS)
def test_the_last_one_goes_on_from_its_values(
    configure: Configure, adapters: dict[str, Path], tmp_path: Path, method: str
) -> None:
    """With hardly a learning rate it stays what it was."""
    chain = (f"model.adapters={adapters[method]}", "model.continue_last=true")
    still = ("training.max_steps=1", "training.learning_rate=1e-9")
    out = train(configure(tmp_path / "out", *SETTINGS[method], *chain, *still)).folder
    torch.testing.assert_close(logits(out), logits(adapters[method]), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(logits(out), logits(MODEL_FOLDER), atol=1e-2)
    assert not (out / "earlier_adapters.json").exists()


@pytest.mark.parametrize(
    ("first", "method"), [*(("lora", each) for each in (*SETTINGS, "full")), ("freeze", "lora")]
)
def test_a_fresh_one_on_merged_ones_loads_by_its_own_path(
    configure: Configure, adapters: dict[str, Path], tmp_path: Path, first: str, method: str
) -> None:
    out = train(
        configure(tmp_path / "out", f"method={method}", f"model.adapters={adapters[first]}", *SHORT)
    ).folder
    if method == "full":
        assert not (out / "earlier_adapters.json").exists()
        return
    assert json.loads((out / "earlier_adapters.json").read_text()) == {
        "adapters": [str(adapters[first])]
    }
    merged = export(Export(str(adapters[first]), tmp_path / "merged", dtype="float32")).folder
    # the same parts on weights that were merged before
    alone = tmp_path / "alone"
    shutil.copytree(out, alone)
    (alone / "earlier_adapters.json").unlink()
    expected = logits(merged, adapters=alone)
    torch.testing.assert_close(logits(out), expected, atol=1e-4, rtol=1e-5)
    assert not torch.allclose(logits(alone), expected, atol=1e-2)


@pytest.mark.parametrize("method", ["lora", "freeze"])
def test_merged_is_apart(adapters: dict[str, Path], tmp_path: Path, method: str) -> None:
    """Of the other two nothing can be merged: test_bad_values.py."""
    merged = export(Export(str(adapters[method]), tmp_path / "merged", dtype="float32")).folder
    torch.testing.assert_close(logits(merged), logits(adapters[method]), atol=1e-4, rtol=1e-5)


def test_what_cannot_start_a_run(
    configure: Configure, adapters: dict[str, Path], tmp_path: Path
) -> None:
    lora, prefix = adapters["lora"], adapters["p_tuning"]
    other = tmp_path / "other"
    shutil.copytree(lora, other)
    config = json.loads((other / "adapter_config.json").read_text())
    changed = {**config, "base_model_name_or_path": "/models/glm-4-9b"}
    (other / "adapter_config.json").write_text(json.dumps(changed))
    on = "model.continue_last=true"
    cases: list[tuple[tuple[str, ...], type[Exception], str]] = [
        ((f"model.adapters={tmp_path}",), ModelError, "holds no adapter"),
        ((f"model.adapters={prefix}",), ConfigError, "is a prefix, which merges into no weights"),
        ((f"model.adapters={lora}", "model.bits=4"), ConfigError, "cannot be merged into weights"),
        ((f"model.adapters={prefix}", on), ConfigError, "which is of method=p_tuning"),
        ((f"model.adapters={lora}", on, "method=full"), ConfigError, "which is of method=lora"),
        ((f"model.adapters={lora}", on, "method.rank=4"), ConfigError, "write method.rank=8"),
        ((f"model.adapters={lora}", on, "method.targets=all"), ModelError, "does not go on"),
    ]
    for settings, kind, message in cases:
        with pytest.raises(kind, match=message):
            train(configure(tmp_path / "out", *settings))
    with pytest.raises(ConfigError, match="no adapter to continue"):
        configure(tmp_path / "out", on)
    # both say on which weights they were trained: the name alone counts where one does not
    (other / BASE_FILE).unlink()
    with pytest.raises(ModelError, match="are of different models"):
        load_model(MODEL_FOLDER, adapters=[lora, other])


def test_a_base_is_known_by_its_weights(
    adapters: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not by its folder's name, which is that of many."""
    moved, strange = tmp_path / "moved", tmp_path / "strange"
    for folder in (moved, strange):
        shutil.copytree(adapters["lora"], folder)
        config = json.loads((folder / "adapter_config.json").read_text())
        name = {"base_model_name_or_path": f"/models/{folder.name}"}
        (folder / "adapter_config.json").write_text(json.dumps(config | name))
    caplog.set_level("INFO", "tuneglm")
    load_model(MODEL_FOLDER, adapters=[adapters["lora"], moved])
    assert not caplog.messages
    same_name = json.loads((adapters["lora"] / "adapter_config.json").read_text())
    (strange / "adapter_config.json").write_text(json.dumps(same_name))
    (strange / BASE_FILE).write_text(json.dumps({"fingerprint": "another"}))
    with pytest.raises(ModelError, match="are of different models"):
        load_model(MODEL_FOLDER, adapters=[adapters["lora"], strange])
    load_model(MODEL_FOLDER, adapters=[strange])
    assert "was trained on other weights" in caplog.text


def test_an_earlier_one_that_is_gone_is_named(adapters: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(adapters["lora"], out)
    (out / "earlier_adapters.json").write_text(json.dumps({"adapters": [str(tmp_path / "gone")]}))
    with pytest.raises(ModelError, match=r"was trained on top of `.*gone`"):
        load_model(out)
