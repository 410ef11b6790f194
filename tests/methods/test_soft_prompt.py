"""Soft prompts: peft's numbers where peft has some, and one meaning for every row and family."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from tests.methods.cells import FAMILIES, IDS, base_of, load, logits, train, tuned

# rows without padding: peft lets padding move the soft tokens away from the row
ROW = IDS[:1]


@pytest.fixture
def trained(tmp_path: Path) -> Any:
    made = tuned(base_of("native", tmp_path), "native", "prompt", "method.length=5")
    train(made, 1e-1)
    made.model.save_pretrained(tmp_path / "out")
    return made.model


@torch.inference_mode()
def test_pefts_numbers(trained: Any, tmp_path: Path) -> None:
    """There the soft tokens are at 0 … n-1 and the row from n on: the distances are the same."""
    theirs = PeftModel.from_pretrained(load(tmp_path / "base", "native"), tmp_path / "out").eval()
    expected = theirs(input_ids=ROW, attention_mask=torch.ones_like(ROW)).logits[:, 5:]
    torch.testing.assert_close(trained(ROW).logits, expected, atol=1e-5, rtol=0)


def test_pefts_file_is_read(tmp_path: Path) -> None:
    from peft import PromptTuningConfig, get_peft_model

    base = base_of("native", tmp_path)
    theirs = get_peft_model(
        load(base, "native"), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    ).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    with torch.inference_mode():
        expected = theirs(input_ids=ROW, attention_mask=torch.ones_like(ROW)).logits[:, 4:]
        ours = load(base, "native", adapters=tmp_path / "theirs")(ROW).logits
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_alone_is_a_row_of_a_batch(family: str, tmp_path: Path) -> None:
    """Neither padding nor other rows change what the soft tokens are."""
    made = tuned(base_of(family, tmp_path), family, "prompt", "method.length=5")
    train(made, 1e-1)
    with torch.inference_mode():
        alone = made.model(IDS[1:, 2:]).logits[0]
    torch.testing.assert_close(logits(made.model)[-8:], alone, atol=1e-5, rtol=0)


def test_it_starts_as_words_or_as_noise(tmp_path: Path) -> None:
    base = base_of("native", tmp_path)
    words = load(base, "native").get_input_embeddings().weight
    name = "model.soft_prompt.embedding"
    ours = tuned(base, "native", "prompt").model.get_parameter(name)
    assert all(any(torch.equal(each, word) for word in words) for each in ours)
    noise = tuned(base, "native", "prompt", "method.init=random").model.get_parameter(name)
    assert noise.std().item() == pytest.approx(words.std().item(), rel=0.2)
