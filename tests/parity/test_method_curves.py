"""The published curves of ten steps, through the methods: what is frozen, trained, and how."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainingArguments

from tests.parity.test_networks import FOLDERS, GOLDEN, inputs_of
from tests.parity.test_prefix import FAMILIES, Case, base_of
from tuneglm.config import load_config
from tuneglm.data.collate import concatenate
from tuneglm.data.encoded import UNTRAINED, Encoded
from tuneglm.methods import METHODS, check_method, tune
from tuneglm.methods.tuned import Tuned
from tuneglm.models import family_named, products
from tuneglm.models.attention import keep_rows_apart
from tuneglm.models.family import Family
from tuneglm.models.fast import is_fast
from tuneglm.models.loading import load_model
from tuneglm.stages.sft import SftTrainer


def loaded(folder: Path, family: str, method: str, *overrides: str) -> tuple[Any, Any, Family]:
    """What a method is given: the model, the method's section and the family."""
    chosen = family_named(family)
    settings = (f"model.path={folder}", f"method={method}", *overrides)
    config = load_config(None, settings)
    check_method(config, folder, chosen)
    model = load_model(folder, family=family, dtype="float32", device="cpu")
    return model, config.method, chosen


def apply(folder: Path, family: str, method: str, *overrides: str) -> Tuned:
    return METHODS[method].apply(*loaded(folder, family, method, *overrides))


def tuned_as_in_a_run(folder: Path, family: str, method: str, *overrides: str) -> Tuned:
    """Its layers fast, and rows kept apart."""
    model, section, chosen = loaded(folder, family, method, *overrides)
    keep_rows_apart(model, chosen.place_rows)
    tuned = tune(model, section, chosen)
    assert any(is_fast(module) for module in tuned.model.modules())
    return tuned


def curve(model: Any, folder: Path, rate: float, *, checkpointing: bool = False) -> list[float]:
    """Losses of ten steps on the golden batch, of all that requires gradients."""
    if checkpointing:
        model.train().gradient_checkpointing_enable({"use_reentrant": False})
    golden = load_file(folder / "golden.safetensors")
    weights = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
    losses = []
    for _ in range(10):
        loss = model(**inputs_of(golden), labels=golden["labels"]).loss
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return losses


def packed(golden: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The golden batch without its padding, one row after another."""
    real = inputs_of(golden)["attention_mask"].bool()
    rows = [
        Encoded(ids[seen].tolist(), labels[seen].tolist(), [False] * int(seen.sum()))
        for ids, labels, seen in zip(golden["input_ids"], golden["labels"], real, strict=True)
    ]
    return concatenate(rows)


def run_curve(tuned: Tuned, folder: Path, rate: float, output: Path) -> list[float]:
    """As `curve`, by the steps of a run: packed rows, in two portions of about forty tokens."""
    arguments = TrainingArguments(str(output), use_cpu=True, report_to="none")
    trainer = SftTrainer(tuned, at_once=40, args=arguments)
    portion = Mock(wraps=trainer.compute_loss)
    trainer.compute_loss = portion  # type: ignore[method-assign]
    batch = packed(load_file(folder / "golden.safetensors"))
    count = (batch["labels"] != UNTRAINED).sum()
    weights = [each for each in tuned.model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
    losses = []
    for _ in range(10):
        losses.append(trainer.training_step(tuned.model, batch, num_items_in_batch=count).item())
        optimizer.step()
        optimizer.zero_grad()
    assert portion.call_count == 2 * 10
    return losses


def figures(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "golden.json").read_text())
    return read


checkpointing = pytest.mark.parametrize("checkpointing", [False, True], ids=["", "checkpointing"])


@checkpointing
@pytest.mark.parametrize("family", FOLDERS)
def test_full(family: str, checkpointing: bool) -> None:
    folder = GOLDEN / FOLDERS[family] / "base"
    made = apply(folder, family, "full")
    expected = figures(folder)["curve_full_adamw_lr1e-3"]
    losses = curve(made.model, folder, 1e-3, checkpointing=checkpointing)
    assert losses == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("by_row", [False, True], ids=["batch", "rows"])
@pytest.mark.parametrize("onednn", [False, True], ids=["torch", "oneDNN"])
@pytest.mark.parametrize("family", FOLDERS)
def test_full_as_it_is_trained(
    family: str, onednn: bool, by_row: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the faster layers, the head's own loss, either library, and row by row."""
    monkeypatch.setattr(products, "by_onednn", lambda: onednn)
    # a handful of tokens is many here
    monkeypatch.setattr(products, "MANY_ROWS", 2)
    folder = GOLDEN / FOLDERS[family] / "base"
    chosen = family_named(family)
    config = load_config(None, [f"model.path={folder}", "method=full"])
    model = load_model(folder, family=family, dtype="float32", device="cpu")
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
    trainer = SftTrainer(tune(model, config.method, chosen), args=arguments)
    golden = load_file(folder / "golden.safetensors")
    batch = {**inputs_of(golden), "labels": golden["labels"]}
    sizes = [1] * len(batch["labels"]) if by_row else [len(batch["labels"])]
    parts = [
        dict(zip(batch, part, strict=True))
        for part in zip(*(each.split(sizes) for each in batch.values()), strict=True)
    ]
    count = (batch["labels"][:, 1:] != UNTRAINED).sum()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        losses.append(0.0)
        for part in parts:
            loss = trainer.compute_loss(model.train(), part, num_items_in_batch=count)
            loss.backward()
            losses[-1] += loss.item()
        optimizer.step()
    expected = figures(folder)["curve_full_adamw_lr1e-3"]
    assert losses == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("family", FOLDERS)
def test_full_in_a_run(family: str, tmp_path: Path) -> None:
    folder = GOLDEN / FOLDERS[family] / "base"
    losses = run_curve(tuned_as_in_a_run(folder, family, "full"), folder, 1e-3, tmp_path)
    assert losses == pytest.approx(figures(folder)["curve_full_adamw_lr1e-3"], rel=1e-4)


@pytest.mark.parametrize("family", FOLDERS)
def test_freeze_in_a_run(family: str, tmp_path: Path) -> None:
    """Where no curve of it was published, it is that of the plain model."""
    folder = GOLDEN / FOLDERS[family] / "base"
    settings = (folder, family, "freeze", "method.layers=1")
    expected = figures(folder).get("curve_freeze_last_mlp_adamw_lr1e-3")
    expected = expected or curve(apply(*settings).model, folder, 1e-3)
    losses = run_curve(tuned_as_in_a_run(*settings), folder, 1e-3, tmp_path)
    assert losses == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("family", FOLDERS)
def test_lora_in_a_run(family: str, tmp_path: Path) -> None:
    """No curve of it was published: that of the plain model, with peft's own layers."""
    folder = GOLDEN / FOLDERS[family] / "base"
    settings = (folder, family, "lora", "method.targets=all")
    torch.manual_seed(0)
    expected = curve(apply(*settings).model, folder, 1e-2)
    torch.manual_seed(0)
    losses = run_curve(tuned_as_in_a_run(*settings), folder, 1e-2, tmp_path)
    assert losses == pytest.approx(expected, rel=1e-4)
    assert losses[-1] < 0.9 * losses[0]


@checkpointing
@pytest.mark.parametrize("modules", ["mlp", "[dense_h_to_4h,dense_4h_to_h]", "mlp.*"])
def test_freeze(modules: str, checkpointing: bool) -> None:
    folder = GOLDEN / "v1" / "base"
    made = apply(folder, "chatglm", "freeze", "method.layers=1", f"method.modules={modules}")
    expected = figures(folder)["curve_freeze_last_mlp_adamw_lr1e-3"]
    losses = curve(made.model, folder, 1e-3, checkpointing=checkpointing)
    assert losses == pytest.approx(expected, rel=1e-4)


@checkpointing
@pytest.mark.parametrize("family", FOLDERS)
def test_freeze_trains_what_it_says_of_the_published_network(
    family: str, checkpointing: bool
) -> None:
    """No curve of it was published but for v1: here all else is simply not handed to AdamW."""
    folder = GOLDEN / FOLDERS[family] / "base"
    made = apply(folder, family, "freeze", "method.layers=1")
    losses = curve(made.model, folder, 1e-3, checkpointing=checkpointing)
    model = load_model(folder, family=family, dtype="float32", device="cpu")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".layers.2.mlp." in name)
    expected = curve(model, folder, 1e-3)
    assert losses == pytest.approx(expected, rel=1e-6)
    assert expected[-1] < expected[0]


@pytest.fixture(
    params=[f"{v}/{form}" for v in FAMILIES for form in ("prefix", "prefix_projection")]
)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(FAMILIES[request.param[:2]], GOLDEN / request.param)


def with_published_prefix(case: Case, folder: Path, tuned_by: Callable[..., Tuned]) -> Tuned:
    """From the published prefix on, read as the official scripts saved it."""
    base = base_of(case, folder / "base")
    projection = str("projection" in case.folder.name).lower()
    settings = ("method.length=8", "method.dropout=0", f"method.projection={projection}")
    made = tuned_by(base, case.family, "p_tuning", *settings)
    official = folder / "checkpoint-3000"
    official.mkdir()
    torch.save(case.parts()[0], official / "pytorch_model.bin")
    (official / "config.json").write_text((case.folder / "config.json").read_text())
    assert made.restore is not None
    made.restore(official)
    return made


@checkpointing
def test_p_tuning(case: Case, tmp_path: Path, checkpointing: bool) -> None:
    made = with_published_prefix(case, tmp_path, apply)
    expected = case.figures["curve_prefix_adamw_lr1e-2"]
    losses = curve(made.model, case.folder, 1e-2, checkpointing=checkpointing)
    assert losses == pytest.approx(expected, rel=1e-4)


def test_p_tuning_in_a_run(case: Case, tmp_path: Path) -> None:
    made = with_published_prefix(case, tmp_path, tuned_as_in_a_run)
    losses = run_curve(made, case.folder, 1e-2, tmp_path)
    assert losses == pytest.approx(case.figures["curve_prefix_adamw_lr1e-2"], rel=1e-4)


def test_what_we_save_is_what_the_official_scripts_read(case: Case, tmp_path: Path) -> None:
    """`pytorch_model.bin` with the names and shapes of their own, and the prefix in config.json."""
    base = base_of(case, tmp_path / "base")
    projection = str("projection" in case.folder.name).lower()
    settings = ("method.length=8", f"method.projection={projection}")
    made = apply(base, case.family, "p_tuning", *settings)
    made.model.save_pretrained(tmp_path / "out")
    ours = torch.load(tmp_path / "out" / "pytorch_model.bin", weights_only=True)
    shapes = {name: each.shape for name, each in ours.items()}
    assert shapes == {name: each.shape for name, each in case.parts()[0].items()}
    assert {each.dtype for each in ours.values()} == {torch.float32}
    published = json.loads((case.folder / "config.json").read_text())
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    for key in ("pre_seq_len", "prefix_projection", "hidden_size", "num_layers"):
        assert config[key] == published[key]
