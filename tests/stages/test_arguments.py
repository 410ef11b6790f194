"""The `training:` section: what it changes, and what it is refused."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.conftest import Configure
from tuneglm.config import load_config
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ConfigError
from tuneglm.models.precision import Capability
from tuneglm.stages.arguments import training_arguments
from tuneglm.stages.sharing import ALL_STATES, Kind, Sharing, check_sharing, sharing_of
from tuneglm.stages.trainer import check_sharded
from tuneglm.training import train


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("disable_tqdm=false", "`training.disable_tqdm` is always `true` here, not `false`."),
        ("remove_unused_columns=true", "`training.remove_unused_columns` is always `false` here"),
        ("include_num_input_tokens_seen=all", "is always `non_padding` here"),
        ("resume_from_checkpoint=x", "`training.resume_from_checkpoint` does nothing here."),
        ("train_sampling_strategy=batch_rebalance", "cannot be `batch_rebalance`"),
        ("train_sampling_strategy=group_by_length", "cannot be `group_by_length`"),
        ("eval_strategy=steps", "no rows are kept for evaluation"),
        ("report_to=comet_ml", "pip install comet-ml"),
        ("report_to=nobody", "nobody is not supported"),
        ("optim=nothing", "nothing"),
        ("metric_for_best_model=bleu", "cannot be `bleu`"),
        ("optim_args=foo", "transformers refuses"),
        ("lr_scheduler_type=cosine_with_min_lr", "transformers refuses"),
        ("fsdp=full_shard", "fsdp only works in distributed training"),
        ("accelerator_config=nowhere.json", "nowhere.json"),
        ("deepspeed=ds.json", "package `deepspeed`, which is not installed"),
        ("learning_rate=0", "nothing would be learnt"),
        ("load_best_model_at_end=true", "no rows are kept for evaluation"),
    ],
)
def test_what_is_refused_before_a_folder_is_made(
    configure: Configure, tmp_path: Path, setting: str, sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        train(configure(tmp_path / "out", f"training.{setting}"))
    assert sentence in caught.value.sentence
    assert not (tmp_path / "out").exists()


def test_a_run_without_a_step_is_refused(configure: Configure, tmp_path: Path) -> None:
    settings = ("training.dataloader_drop_last=true", "training.per_device_train_batch_size=13")
    with pytest.raises(ConfigError, match="no step to train: 12 rows"):
        train(configure(tmp_path / "out", *settings))


def test_what_is_always_so_may_be_said(configure: Configure, tmp_path: Path) -> None:
    assert train(configure(tmp_path / "out", "training.disable_tqdm=true")).finished


def test_label_smoothing_takes_part_in_the_loss(configure: Configure, tmp_path: Path) -> None:
    """A share ε of every target goes to the whole vocabulary: the loss of one step is larger."""
    step = ("training.max_steps=1",)
    plain = train(configure(tmp_path / "plain", *step)).loss
    smooth = train(
        configure(tmp_path / "smooth", *step, "training.label_smoothing_factor=0.3")
    ).loss
    assert plain is not None and smooth is not None
    assert smooth > plain + 0.1


@pytest.mark.parametrize(
    ("capability", "setting", "expected"),
    [
        (Capability("cuda", bfloat16=True), "", (False, True)),
        (Capability("cuda", bfloat16=False), "", (True, False)),
        (Capability("cpu", bfloat16=False), "", (False, False)),
        # float16 weights are never trained on without a scaled loss
        (Capability("cuda", bfloat16=True), "model.dtype=float16", (True, False)),
        (Capability("cuda", bfloat16=False), "training.fp16=false", (False, False)),
    ],
)
def test_what_a_run_computes_in(
    capability: Capability,
    setting: str,
    expected: tuple[bool, bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Capability, "of", classmethod(lambda _, __: capability))
    given = ["model.path=x", "training.output_dir=out", *filter(None, [setting])]
    arguments = training_arguments(load_config(None, given), evaluates=False, rows=8)
    assert (arguments.fp16, arguments.bf16) == expected


def test_fsdp_that_would_share_nothing_out() -> None:
    arguments = SimpleNamespace(device=torch.device("cpu"))
    trainer: Any = SimpleNamespace(args=arguments, is_fsdp_enabled=False, sharing=Sharing())
    check_sharded(trainer)
    trainer.sharing = Sharing("fsdp", 2)
    with pytest.raises(ConfigError, match=r"each process would hold the whole model.*`cpu`"):
        check_sharded(trainer)
    trainer.is_fsdp_enabled = True
    plugin = SimpleNamespace(fsdp_version=1)
    trainer.accelerator = SimpleNamespace(state=SimpleNamespace(fsdp_plugin=plugin))
    with pytest.raises(ConfigError, match="first version"):
        check_sharded(trainer)


def test_fsdp_is_asked_for_by_the_launcher_too(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: Any = SimpleNamespace(
        world_size=2, fsdp=None, fsdp_plugin_args=None, deepspeed_plugin=None
    )
    monkeypatch.delenv("ACCELERATE_USE_FSDP", raising=False)
    assert sharing_of(arguments) == Sharing("copies", 2)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert sharing_of(arguments) == Sharing("fsdp", 2)
    monkeypatch.setenv("FSDP_OFFLOAD_PARAMS", "true")
    assert sharing_of(arguments) == Sharing("fsdp", 2, ALL_STATES)
    monkeypatch.delenv("FSDP_OFFLOAD_PARAMS")
    arguments.fsdp_plugin_args = {"cpu_offload": True}
    assert sharing_of(arguments).offloads


@pytest.mark.parametrize(
    ("kind", "settings", "sentence"),
    [
        ("zero3", ("model.bits=4",), "ZeRO-3 cannot divide weights of 4 bits"),
        ("fsdp", ("method.init=pissa",), "takes whole weights apart, and FSDP divides them"),
        ("fsdp", ("method=prompt",), "`method=prompt` cannot be trained with FSDP"),
    ],
)
def test_what_cannot_be_divided_is_said(
    configure: Configure, tmp_path: Path, kind: Kind, settings: tuple[str, ...], sentence: str
) -> None:
    config = configure(tmp_path, *settings)
    check_sharing(config, Sharing("zero2", 2), MODEL_FOLDER)
    with pytest.raises(ConfigError, match=sentence):
        check_sharing(config, Sharing(kind, 2), MODEL_FOLDER)


def test_a_packed_checkpoint_is_not_divided(configure: Configure, tmp_path: Path) -> None:
    packed = Path(__file__).parents[1] / "parity" / "golden" / "v2" / "int4"
    with pytest.raises(ConfigError, match="FSDP cannot divide weights of 4 bits"):
        check_sharing(configure(tmp_path), Sharing("fsdp", 2), packed)
