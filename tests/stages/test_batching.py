"""`data.batching` in whole runs: the same is learnt, a stopped run goes on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import FalconMambaConfig, FalconMambaForCausalLM, TrainingArguments

from tests.conftest import Configure
from tests.parity.test_batching import rows
from tests.test_training import adapter_of, unfinished
from tuneglm.data.batches import Groups
from tuneglm.data.collate import Collator
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ConfigError, ModelError
from tuneglm.methods.tuned import Tuned
from tuneglm.models.attention import keep_rows_apart
from tuneglm.models.loading import load_model
from tuneglm.stages.apart import check_rows_apart
from tuneglm.stages.sft import SftTrainer
from tuneglm.training import train

WAYS = ("padded", "length_grouped", "packed")
# one step over all rows by plain gradient descent: the weights are then as equal as the gradients
ONE_STEP = (
    *("training.optim=sgd", "training.learning_rate=0.5", "training.max_grad_norm=0"),
    *("training.max_steps=1", "training.gradient_accumulation_steps=64"),
    *("training.per_device_train_batch_size=1", "data.cutoff=64", "data.evaluation_rows=1"),
)
CHATGLM = MODEL_FOLDER.with_name("model_chatglm")


@pytest.mark.parametrize("folder", [MODEL_FOLDER, CHATGLM], ids=["chatglm2", "chatglm"])
def test_each_way_of_batching_learns_the_same(
    configure: Configure, tmp_path: Path, folder: Path
) -> None:
    results = [
        train(configure(tmp_path / way, *ONE_STEP, f"model.path={folder}", f"data.batching={way}"))
        for way in WAYS
    ]
    for other in results[1:]:
        assert other.loss == pytest.approx(results[0].loss, abs=1e-5)
        assert other.evaluation_loss == pytest.approx(results[0].evaluation_loss, abs=1e-4)
        torch.testing.assert_close(
            adapter_of(other.folder), adapter_of(results[0].folder), atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("way", WAYS)
def test_tokens_per_batch(configure: Configure, tmp_path: Path, way: str) -> None:
    plain = train(configure(tmp_path / "rows", *ONE_STEP))
    settings = (*ONE_STEP, f"data.batching={way}", "data.tokens_per_batch=100")
    groups = train(configure(tmp_path / "groups", *settings))
    assert groups.loss == pytest.approx(plain.loss, abs=1e-5)
    torch.testing.assert_close(
        adapter_of(groups.folder), adapter_of(plain.folder), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("batch", [1, 4])
def test_the_evaluation_loss_is_the_mean_over_all_trained_tokens(
    configure: Configure, tmp_path: Path, rows_file: Path, batch: int
) -> None:
    """However its rows were put into batches."""
    held = tmp_path / "held.json"
    held.write_text(rows_file.read_text(encoding="utf-8").replace("?", "!"), encoding="utf-8")
    size = f"training.per_device_eval_batch_size={batch}"
    settings = (*ONE_STEP, f"data.evaluation={held}", size)
    losses = [
        train(configure(tmp_path / "padded", *settings)).evaluation_loss,
        train(
            configure(tmp_path / "packed", *settings[:-1], "data.batching=packed")
        ).evaluation_loss,
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


@pytest.mark.parametrize("bits", [4, 8])
def test_packed_rows_on_packed_weights(configure: Configure, tmp_path: Path, bits: int) -> None:
    pytest.importorskip("bitsandbytes")
    settings = (
        "data.batching=packed",
        f"model.bits={bits}",
        "training.gradient_checkpointing=true",
    )
    assert train(configure(tmp_path / "out", *settings)).finished


@pytest.mark.parametrize("way", ["packed", "length_grouped"])
def test_a_run_that_goes_on_equals_an_uninterrupted_one_bitwise(
    configure: Configure, tmp_path: Path, way: str
) -> None:
    settings = (
        *(f"data.batching={way}", "data.cutoff=64", "data.tokens_per_batch=64"),
        *("training.save_steps=3", "training.per_device_train_batch_size=1", "method.dropout=0.2"),
    )
    whole = train(configure(tmp_path / "whole", *settings)).folder
    again = tmp_path / "again"
    unfinished(whole, again, keep="checkpoint-3")
    run = again / "run.yaml"
    run.write_text(run.read_text().replace(str(whole), str(again)))
    train(configure(again, *settings))
    name = "adapter_model.safetensors"
    assert (whole / name).read_bytes() == (again / name).read_bytes()


def test_a_fully_tuned_model_remembers_nothing_of_the_packs(
    configure: Configure, tmp_path: Path
) -> None:
    settings = ("method=full", "data.batching=packed", "training.per_device_train_batch_size=1")
    folder = train(configure(tmp_path / "out", *settings)).folder
    assert "rows_sdpa" not in (folder / "config.json").read_text()
    assert load_model(folder, device="cpu").config._attn_implementation == "sdpa"


def test_the_summary_tells_packs_and_rows(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ("data.batching=packed", "data.cutoff=64", "training.per_device_train_batch_size=2")
    train(configure(tmp_path / "out", *settings, "training.max_steps=1"))
    told = capsys.readouterr().out
    assert "packed · 5 packs of 64 tokens, " in told
    assert "Steps    1 · 4 rows each" in told


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["data.batching=packed", "model.attention=eager"], "cannot keep packed rows apart"),
        (["data.tokens_per_batch=2048"], "`training.per_device_train_batch_size` is `2`"),
        (
            ["data.batching=packed", "training.per_device_eval_batch_size=4"],
            "`training.per_device_eval_batch_size` is `4`",
        ),
        (
            ["data.batching=length_grouped", "training.train_sampling_strategy=sequential"],
            "at odds with data.batching=length_grouped",
        ),
    ],
)
def test_settings_at_odds(
    configure: Configure, tmp_path: Path, settings: list[str], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        train(configure(tmp_path / "out", *settings))
    assert sentence in caught.value.sentence
    assert not (tmp_path / "out").exists()


def trainer_of(model: torch.nn.Module, folder: Path) -> SftTrainer:
    arguments = TrainingArguments(str(folder), use_cpu=True, report_to="none")
    return SftTrainer(Tuned(model), args=arguments, data_collator=Collator(0, packed=True))


def test_a_model_whose_rows_would_see_each_other_is_refused(tmp_path: Path) -> None:
    """Its state runs on from row to row; and one that was not told of the rows at all."""
    groups = Groups(rows("glm4"), [[0, 1], [2, 3]])
    sizes = {"vocab_size": 512, "hidden_size": 32, "num_hidden_layers": 1, "state_size": 4}
    running_on = FalconMambaForCausalLM(FalconMambaConfig(**sizes))
    with pytest.raises(ModelError, match="Rows cannot be packed for this model"):
        check_rows_apart(trainer_of(running_on, tmp_path), groups)
    untold = load_model(MODEL_FOLDER, dtype="float32", device="cpu")
    with pytest.raises(ModelError, match="a row sees the one before it"):
        check_rows_apart(trainer_of(untold, tmp_path), groups)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_rounding_that_grows_from_layer_to_layer_is_no_neighbour(
    dtype: str, tmp_path: Path
) -> None:
    """Deep models in few bits round a pack otherwise than the row alone, by other kernels."""
    groups = Groups(rows("glm4"), [[0, 1], [2, 3]])
    model: Any = load_model(MODEL_FOLDER, dtype=dtype, device="cpu")

    def round_otherwise(_: Any, __: Any, given: dict[str, Any], output: Any) -> None:
        if "row_lengths" in given:
            output.logits = output.logits * 1.15

    keep_rows_apart(model)
    model.register_forward_hook(round_otherwise, with_kwargs=True)
    if dtype == "bfloat16":
        check_rows_apart(trainer_of(model, tmp_path), groups)
        return
    with pytest.raises(ModelError, match="not computed as the row alone"):
        check_rows_apart(trainer_of(model, tmp_path), groups)
