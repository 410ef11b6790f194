"""What must hold of every run, whatever is tuned."""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file

from tests.conftest import Configure
from tuneglm.checkpoints import RESULTS
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ConfigError, DivergedError, OutputError
from tuneglm.models.loading import load_model
from tuneglm.stages.trainer import StageTrainer
from tuneglm.training import train

IDS = torch.arange(300, 330)[None]


def adapter_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def logits_of(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model(IDS).logits
    return logits


def load(folder: Path) -> Any:
    return load_model(folder, dtype="float32", device="cpu")


def unfinished(folder: Path, copy: Path, keep: str) -> None:
    """The folder as if its run had been killed after the checkpoint `keep`."""
    shutil.copytree(folder, copy)
    for path in copy.iterdir():
        if path.name in RESULTS or (path.name.startswith("checkpoint-") and path.name != keep):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_what_a_run_leaves(configure: Configure, tmp_path: Path) -> None:
    result = train(configure(tmp_path / "out", "data.evaluation_rows=1"))
    assert result.finished
    assert result.steps == 6
    assert result.loss is not None and result.evaluation_loss is not None
    names = {path.name for path in result.folder.iterdir()}
    assert names >= {
        "adapter_model.safetensors",
        "adapter_config.json",
        "tokenizer.json",
        "run.yaml",
        "log.jsonl",
        "loss.png",
        "checkpoint-6",
    }
    log = [json.loads(line) for line in (result.folder / "log.jsonl").open()]
    assert [entry["step"] for entry in log if "loss" in entry] == [1, 2, 3, 4, 5, 6]
    base = json.loads((result.folder / "adapter_config.json").read_text())
    assert Path(base["base_model_name_or_path"]).is_absolute()


def test_a_relative_folder_is_not_taken_for_an_id(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`models/demo` has the form of an id; the adapter must find it from any folder."""
    shutil.copytree(MODEL_FOLDER, tmp_path / "models" / "demo")
    monkeypatch.chdir(tmp_path)
    result = train(configure(Path("out"), "model.path=models/demo", "training.max_steps=1"))
    base = json.loads((result.folder / "adapter_config.json").read_text())
    assert base["base_model_name_or_path"] == str(tmp_path / "models" / "demo")
    monkeypatch.chdir("/")
    load(tmp_path / "out")


def test_a_tuned_model_is_another_model(configure: Configure, tmp_path: Path) -> None:
    config = configure(tmp_path / "out")
    before = logits_of(load(Path(config.model.path)))
    after = logits_of(load(train(config).folder))
    assert (after - before).abs().max() > 0.1


@pytest.mark.parametrize("targets", ["[]", "all", "query_key_value"])
def test_an_adapter_equals_its_merge(configure: Configure, tmp_path: Path, targets: str) -> None:
    folder = train(configure(tmp_path / "out", f"method.targets={targets}")).folder
    model = load(folder)
    apart = logits_of(model)
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    assert layers
    for layer in layers:
        layer.merge()
    # 1e-5 of the largest logit: rounding grows with the numbers
    difference = (logits_of(model) - apart).abs().max()
    assert difference / apart.abs().max() < 1e-5


def test_four_rows_at_once_equal_four_times_one(configure: Configure, tmp_path: Path) -> None:
    """Plain gradient descent: the weights are then as equal as the gradients are."""
    plain = ("training.optim=sgd", "training.learning_rate=0.5", "training.max_grad_norm=0")
    once = train(
        configure(tmp_path / "once", *plain, "training.per_device_train_batch_size=4")
    ).folder
    apart = train(
        configure(
            tmp_path / "apart",
            *plain,
            "training.per_device_train_batch_size=1",
            "training.gradient_accumulation_steps=4",
        )
    ).folder
    torch.testing.assert_close(adapter_of(once), adapter_of(apart), atol=1e-5, rtol=1e-4)


RESUMED = {
    "lora": ("method.dropout=0.2",),
    "lora and tokens": ("method.tokens=[7,300]",),
    "lora of all kinds": (
        "method.init=pissa",
        "method.lora_plus=4",
        "method.tokens=[7,300]",
        "method.modules_to_save=lm_head",
    ),
    "full": (),
    "freeze": ("method.layers=-2", "method.modules=[attention,input_layernorm]"),
    "p_tuning": ("method.length=4", "method.projection=true", "method.dropout=0.2"),
    "prompt": ("method.length=4",),
}


@pytest.mark.parametrize("kind", RESUMED)
def test_a_resumed_run_equals_an_uninterrupted_one_bitwise(
    configure: Configure, tmp_path: Path, kind: str
) -> None:
    settings = [f"method={kind.split()[0]}", "training.save_steps=3", *RESUMED[kind]]
    whole = train(configure(tmp_path / "whole", *settings)).folder
    again = tmp_path / "again"
    unfinished(whole, again, keep="checkpoint-3")
    run = again / "run.yaml"
    run.write_text(run.read_text().replace(str(whole), str(again)))
    train(configure(again, *settings))
    (name,) = [name for name in RESULTS if (whole / name).is_file()]
    assert (whole / name).read_bytes() == (again / name).read_bytes()

    def losses(folder: Path) -> list[tuple[int, float]]:
        entries = [json.loads(line) for line in (folder / "log.jsonl").open()]
        return [(entry["step"], entry["loss"]) for entry in entries if "loss" in entry]

    assert losses(again) == losses(whole)


def test_a_checkpoint_that_was_cut_off_is_passed_over(configure: Configure, tmp_path: Path) -> None:
    settings = ("training.save_steps=2", "training.save_total_limit=5")
    whole = train(configure(tmp_path / "out", *settings)).folder
    for name in RESULTS:
        (whole / name).unlink(missing_ok=True)
    (whole / "checkpoint-6" / "trainer_state.json").unlink()
    (whole / "checkpoint-4" / "optimizer.pt").unlink()
    assert train(configure(whole, *settings)).finished


def test_full_tuning_saves_a_folder_that_transformers_reads(
    configure: Configure, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = train(configure(tmp_path / "out", "method=full", "training.learning_rate=1e-3")).folder
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    torch.testing.assert_close(logits_of(theirs.eval()), logits_of(load(folder)))
    assert AutoTokenizer.from_pretrained(folder)("你好").input_ids[:2] == [5097, 5099]
    ends = theirs.generation_config.eos_token_id
    assert set(ends) >= {2}
    assert len(ends) == 3


def test_gradient_checkpointing_changes_nothing(configure: Configure, tmp_path: Path) -> None:
    plain = train(configure(tmp_path / "plain")).folder
    checkpointed = train(
        configure(tmp_path / "checkpointed", "training.gradient_checkpointing=true")
    ).folder
    torch.testing.assert_close(adapter_of(plain), adapter_of(checkpointed), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("bits", [4, 8])
def test_an_adapter_on_packed_weights(configure: Configure, tmp_path: Path, bits: int) -> None:
    pytest.importorskip("bitsandbytes")
    result = train(configure(tmp_path / "out", f"model.bits={bits}"))
    assert result.finished
    assert all(tensor.isfinite().all() for tensor in adapter_of(result.folder).values())


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_run_in_float16(configure: Configure, tmp_path: Path, method: str) -> None:
    """Its losses are float32's, its loss is scaled, and its result answers from float16 weights."""
    settings = (f"method={method}", "training.learning_rate=0.001", "training.max_steps=2")
    exact = train(configure(tmp_path / "exact", *settings))
    half = ("model.dtype=auto", "training.fp16=true", "training.bf16=false")
    result = train(configure(tmp_path / "half", *settings, *half))
    assert result.loss == pytest.approx(exact.loss, rel=5e-3)
    scaler = torch.load(result.folder / "checkpoint-2" / "scaler.pt", weights_only=True)
    assert scaler["scale"] >= 2**16
    answers = load_model(result.folder, dtype="float16", device="cpu")
    difference = logits_of(answers) - logits_of(load(result.folder))
    assert difference.abs().max() < 0.1


def test_full_tuning_refuses_packed_weights(configure: Configure, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    with pytest.raises(ConfigError, match="method=full"):
        train(configure(tmp_path / "out", "method=full", "model.bits=4"))


def test_nothing_is_ever_overwritten(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished = train(configure(tmp_path / "out")).folder
    capsys.readouterr()
    with pytest.raises(OutputError, match="finished run"):
        train(configure(finished))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="not empty"):
        train(configure(tmp_path / "mine"))
    # and before anything is read or planned
    assert not capsys.readouterr().out
    for name in RESULTS:
        (finished / name).unlink(missing_ok=True)
    with pytest.raises(OutputError, match=r"another `method\.rank`"):
        train(configure(finished, "method.rank=4"))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        # as the tokenizers' own writer says it
        Exception("No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_sentence(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(StageTrainer, "write_result", full)
    with pytest.raises(OutputError, match="no space left") as caught:
        train(configure(tmp_path / "out"))
    assert "same command" in str(caught.value)


def test_a_run_that_goes_astray_stops_and_says_so(configure: Configure, tmp_path: Path) -> None:
    with pytest.raises(
        DivergedError,
        match=r"At step \d+ the \w+ is not a number any more.*on the rows? `.*rows.json:1`",
    ):
        train(configure(tmp_path / "out", "training.learning_rate=1e9", "training.max_steps=12"))
    assert not (tmp_path / "out" / "adapter_model.safetensors").exists()
