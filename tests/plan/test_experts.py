"""A mixture of experts is planned as any model: what is foreseen is what a true step holds."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Glm4MoeConfig, Glm4MoeForCausalLM

from tests.test_plan import FLOAT32, step
from tuneglm.config import load_config
from tuneglm.methods import METHODS, tune
from tuneglm.models import family_of
from tuneglm.plan.batch_shape import Batch
from tuneglm.plan.ledger import Ledger
from tuneglm.plan.step_memory import StepMemory, step_memory
from tuneglm.stages.question import Question
from tuneglm.stages.sft import Way, summed_loss

BATCH = Batch(1, 64, 32)


def mixture(folder: Path, layers: int = 4) -> Path:
    """A GLM-4.5 in small, of which nothing but config.json is there: the first layer is dense."""
    Glm4MoeConfig(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=128,
        moe_intermediate_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        n_routed_experts=8,
        num_experts_per_tok=2,
        n_shared_experts=1,
        first_k_dense_replace=1,
        pad_token_id=0,
    ).save_pretrained(folder)
    return folder


def truly(folder: Path, method: str) -> Ledger:
    """The ledger of a true step in float32."""
    config = load_config(None, [f"model.path={folder}", f"method={method}"])
    model: Any = Glm4MoeForCausalLM(Glm4MoeConfig.from_pretrained(folder))
    tuned = tune(model, config.method, family_of(folder)).model.train()
    ledger = Ledger(512)
    with ledger:
        ledger.hold(tuned.buffers(), "weights")
        for weight in tuned.parameters():
            ledger.hold([weight], "trained" if weight.requires_grad else "weights")
        ids = torch.randint(5, 500, (BATCH.rows, BATCH.length))
        targets = torch.randint(5, 500, (BATCH.rows, BATCH.trained))
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        ledger.phase = "step"
        question = Question(targets, whole=True)
        trained = torch.arange(BATCH.trained)
        (summed_loss(tuned, inputs, trained, question, Way.of(model)) / 1000).backward()
    return ledger


def planned(folder: Path, *settings: str) -> StepMemory:
    return step_memory(step(folder, *settings, batch=BATCH))


@pytest.mark.parametrize("method", ["full", "lora", "freeze"])
def test_the_step_holds_and_computes_what_a_true_one_does(method: str, tmp_path: Path) -> None:
    folder = mixture(tmp_path)
    true, foreseen = truly(folder, method), planned(folder, f"method={method}", *FLOAT32)
    beside = foreseen.fullest.parts["optimizer"]
    total = true.peaks["step"].total
    assert foreseen.fullest.total - beside == pytest.approx(total, rel=0.03)
    assert foreseen.operations == pytest.approx(true.operations, rel=0.03)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", [("training.bf16=true",), FLOAT32])
def test_every_method_is_planned(method: str, precision: tuple[str, ...], tmp_path: Path) -> None:
    folder = mixture(tmp_path)
    parts = planned(folder, f"method={method}", *precision).fullest.parts
    model = Glm4MoeForCausalLM(Glm4MoeConfig.from_pretrained(folder))
    count = sum(each.numel() for each in model.parameters())
    held = parts["weights"] + parts["trained"]
    assert held >= 2 * count
    assert parts["activations"] > 0
