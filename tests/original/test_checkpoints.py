"""A checkpoint of the old tool continues, chats and exports."""

import json
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ROWS
from tests.original.old_checkpoints import BASE, LENGTH, RANK, write
from tuneglm.cli import main
from tuneglm.config import ChatConfig, load_config
from tuneglm.errors import ModelError
from tuneglm.generate import ChatModel
from tuneglm.models.loading import load_model
from tuneglm.original.checkpoint import method_arguments, read_pickled
from tuneglm.original.finetune import run as finetune
from tuneglm.original.house import House
from tuneglm.original.pretrained import ModelArguments, load
from tuneglm.original.talking import export_model

HOUSE = House(str(BASE))
KINDS = ("lora", "freeze", "p_tuning")


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = json.dumps([row for row in ROWS if "history" not in row], ensure_ascii=False)
    (tmp_path / "rows.json").write_text(text, encoding="utf-8")


def trained(*words: str) -> int:
    fixed = "--do_train --dataset ./rows.json --per_device_train_batch_size 4 --max_steps 2"
    return finetune([*fixed.split(), "--learning_rate", "1e-3", *words], HOUSE)


def logits(model: Any) -> torch.Tensor:
    # a question, [gMASK], <sop>, and an answer's beginning
    ids = torch.tensor([[20, 21, 22, 5, 7, 23]])
    with torch.inference_mode():
        return model(input_ids=ids).logits.float()


@pytest.mark.parametrize("kind", KINDS)
def test_it_continues_chats_and_exports(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write(tmp_path / "old", kind)
    # what the command says of the method is not what it was trained with
    words = ["--checkpoint_dir", str(old), "--output_dir", "new", "--lora_rank", "16"]
    assert trained(*words, "--finetuning_type", "lora") == 0
    assert "is passed over" in capsys.readouterr().out
    method = load_config(tmp_path / "new" / "run.yaml").method
    assert method.name == kind
    assert getattr(method, "rank", RANK) == RANK and getattr(method, "length", LENGTH) == LENGTH

    model, tokenizer = load(ModelArguments(checkpoint_dir="new"), HOUSE)
    answer, history = model.chat(tokenizer, "你是谁？", history=[], max_new_tokens=4)
    assert history == [("你是谁？", answer)]
    if kind == "p_tuning":
        return  # a prefix merges into no weights
    with pytest.raises(SystemExit) as left:
        main(["export", str(BASE), "whole", "--adapter", str(old)])
    assert left.value.code == 0
    merged = logits(load_model("whole", dtype="float32"))
    apart = logits(load_model(BASE, dtype="float32", adapters=[old]))
    assert torch.allclose(merged, apart, atol=0.02)
    assert not torch.allclose(merged, logits(load_model(BASE, dtype="float32")), atol=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_going_on_begins_where_it_ended(kind: str, tmp_path: Path) -> None:
    """With a learning rate next to zero the result is what the checkpoint was."""
    old = write(tmp_path / "old", kind)
    assert trained("--checkpoint_dir", "old", "--output_dir", "new", "--learning_rate=1e-12") == 0
    before = logits(load_model(BASE, dtype="float32", adapters=[old]))
    after = logits(load_model("new", dtype="float32"))
    assert torch.allclose(before, after, atol=1e-4)
    assert not torch.allclose(before, logits(load_model(BASE, dtype="float32")), atol=1e-3)


def test_a_prefix_is_exported_beside_its_model(tmp_path: Path) -> None:
    old = write(tmp_path / "old", "p_tuning")
    with pytest.raises(SystemExit) as left:
        export_model(["--checkpoint_dir", str(old), "--output_dir", "whole"], HOUSE)
    assert left.value.code == 0
    before = logits(load_model(BASE, dtype="float32", adapters=[old]))
    assert torch.allclose(logits(load_model("whole", dtype="float32")), before, atol=0.02)


def test_a_chain_of_two(tmp_path: Path) -> None:
    """All but the last are merged and the last goes on; or all are, and a new one is begun."""
    first, second = write(tmp_path / "a", "lora"), write(tmp_path / "b", "lora")
    both = f"{first},{second}"
    assert trained("--checkpoint_dir", both, "--output_dir", "on", "--learning_rate=1e-12") == 0
    expected = logits(load_model(BASE, dtype="float32", adapters=[first, second]))
    assert torch.allclose(logits(load_model("on", dtype="float32")), expected, atol=1e-3)
    fresh = ["--checkpoint_dir", both, "--resume_lora_training", "False", "--lora_rank", "2"]
    assert trained(*fresh, "--output_dir", "fresh") == 0
    config = load_config(tmp_path / "fresh" / "run.yaml")
    assert getattr(config.method, "rank", None) == 2 and not config.model.continue_last


def test_its_own_arguments_are_read_and_nothing_is_executed(tmp_path: Path) -> None:
    old = write(tmp_path / "old", "freeze")
    assert method_arguments(old)["num_layer_trainable"] == 1

    class Evil:
        def __reduce__(self) -> Any:
            return (tmp_path.joinpath("hacked").write_text, ("x",))

    (old / "finetuning_args.bin").write_bytes(pickle.dumps(Evil()))
    with suppress(ModelError):
        read_pickled(old / "finetuning_args.bin")
    assert not (tmp_path / "hacked").exists()
    (old / "finetuning_args.bin").write_bytes(b"nonsense")
    with pytest.raises(ModelError):
        read_pickled(old / "finetuning_args.bin")
    (old / "finetuning_args.json").write_text('{"finetuning_type": "freeze"}', encoding="utf-8")
    assert method_arguments(old) == {"finetuning_type": "freeze"}


def test_what_full_tuning_leaves_is_the_model(tmp_path: Path) -> None:
    words = ["--output_dir", "full", "--finetuning_type", "full", "--learning_rate", "1e-5"]
    assert trained(*words) == 0
    assert trained("--checkpoint_dir", "full", "--output_dir", "more") == 0
    config = load_config(tmp_path / "more" / "run.yaml")
    assert config.model.path == str(tmp_path / "full") and not config.model.adapters
    answer = ChatModel("more").reply(
        [{"role": "user", "content": "你好"}], ChatConfig(max_new_tokens=3, temperature=0)
    )
    assert isinstance(answer, str)
