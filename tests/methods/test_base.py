"""While it is tuned a model can be asked as its base: with what is trained turned off."""

from pathlib import Path

import pytest
import torch

from tests.methods.cells import FAMILIES, base_of, load, logits, refusal, train, tuned

RATES = {"lora": 1e-2, "p_tuning": 0.5, "prompt": 0.5}
KL = "stage.kl=0.5"


@pytest.mark.parametrize("method", RATES)
@pytest.mark.parametrize("family", FAMILIES)
def test_with_what_is_trained_off_it_is_its_base(family: str, method: str, tmp_path: Path) -> None:
    folder = base_of(family, tmp_path)
    made = tuned(folder, family, method)
    train(made, RATES[method])
    assert made.base is not None
    after = logits(made.model)
    with made.base():
        off = logits(made.model)
    assert torch.equal(logits(made.model), after)
    assert (off - after).abs().max() > 1e-3
    torch.testing.assert_close(off, logits(load(folder, family)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("method", "settings", "sentence"),
    [
        ("full", (KL,), "method=full changes the base"),
        ("freeze", (KL,), "method=freeze changes the base"),
        ("lora", (KL, "method.init=pissa"), "takes parts out of the base"),
        ("lora", (KL, "data.train=my.json"), "no set of `data.train` is one that keeps"),
        ("lora", ("stage.kl=-1",), "stage.kl"),
    ],
)
def test_no_base_to_hold_to(
    method: str, settings: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    assert sentence in refusal(base_of("native", tmp_path), "native", method, *settings)
