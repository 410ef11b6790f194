"""Every method on every family in every width: trained, saved, loaded by one path, gone on with."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.methods.cells import FAMILIES, GOLDEN, base_of, load, logits, refusal, train, tuned
from tuneglm.methods import METHODS

# method → settings that suit models this small, and a learning rate that moves them
SETTINGS = {
    "lora": (("method.rank=4",), 1e-2),
    "full": ((), 1e-3),
    "freeze": (("method.layers=1",), 1e-2),
    "p_tuning": (("method.length=5", "method.dropout=0"), 1e-1),
    "prompt": (("method.length=5",), 1e-1),
}
# the published packed forms; those of glm4 and chatglm3 are ours, and the network is chatglm2's
PACKED = {"chatglm": "v1", "chatglm2": "v2"}
WIDTHS: tuple[Any, ...] = ("float32", "bfloat16", "float16", 8, 4, "int8", "int4")
# what cannot be, and why
REFUSED = {
    ("full", width): f"cannot train weights that are packed in {bits} bits"
    for width, bits in ((8, 8), (4, 4), ("int8", 8), ("int4", 4))
}

CELLS = [
    pytest.param(family, method, width, id=f"{family}-{method}-{width}")
    for family in FAMILIES
    for method in METHODS
    for width in WIDTHS
    if family in PACKED or not str(width).startswith("int")
]


@pytest.mark.parametrize(("family", "method", "width"), CELLS)
def test_a_cell(family: str, method: str, width: Any, tmp_path: Path) -> None:
    settings, rate = SETTINGS[method]
    base, options = base_of(family, tmp_path, wide=width in (8, 4)), dict[str, Any]()
    if width in ("float32", "bfloat16", "float16"):
        options = {"dtype": width}
    elif width in ("int8", "int4"):
        base = GOLDEN / PACKED[family] / width
    else:
        pytest.importorskip("bitsandbytes")
        options = {"bits": width}
    if (method, width) in REFUSED:
        bits = (f"model.bits={width}",) if width in (8, 4) else ()
        assert REFUSED[method, width] in refusal(base, family, method, *settings, *bits)
        return
    made = tuned(base, family, method, *settings, **options)
    before = {
        name: each.clone() for name, each in made.model.named_parameters() if not each.requires_grad
    }
    trained = {each.dtype for each in made.model.parameters() if each.requires_grad}
    assert trained == {torch.float32}
    losses = train(made, rate)
    assert losses[-1] < losses[0]
    after = dict(made.model.named_parameters())
    assert all(torch.equal(after[name], each) for name, each in before.items())

    made.model.save_pretrained(tmp_path / "out")
    again = load(tmp_path / "out", family, **options)
    # what is trained is float32; loaded, it has the type of the rest
    halves = {torch.bfloat16: 0.1, torch.float16: 0.01}
    # kernels of 4 bits may round to bfloat16 within, where the processor has it
    close = {"atol": halves.get(again.dtype, 0.01 if width == 4 else 2e-5)}
    torch.testing.assert_close(logits(again), logits(made.model), **{"rtol": 0, **close})

    if made.restore is not None:
        resumed = tuned(base, family, method, *settings, **options)
        assert resumed.restore is not None
        resumed.restore(tmp_path / "out")
        assert torch.equal(logits(resumed.model.eval()), logits(made.model))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", FAMILIES)
def test_checkpointing_changes_nothing(family: str, method: str, tmp_path: Path) -> None:
    settings, rate = SETTINGS[method]
    plain = tuned(base_of(family, tmp_path), family, method, *settings)
    checkpointed = tuned(base_of(family, tmp_path), family, method, *settings)
    checkpointed.model.gradient_checkpointing_enable({"use_reentrant": False})
    assert train(checkpointed, rate) == pytest.approx(train(plain, rate), rel=1e-6)


@pytest.mark.parametrize("method", ["p_tuning", "prompt"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_cache_gives_the_same_answer(family: str, method: str, tmp_path: Path) -> None:
    settings, rate = SETTINGS[method]
    made = tuned(base_of(family, tmp_path), family, method, *settings)
    train(made, rate)
    prompt = torch.tensor([[20, 21, 22, 501, 504], [3, 30, 31, 501, 504]])
    inputs = {"input_ids": prompt, "attention_mask": (prompt != 3).long()}
    fixed = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "pad_token_id": 3}
    alone = made.model.generate(prompt[1:, 1:], **fixed)[0, -6:].tolist()
    for options in (
        {},
        {"use_cache": False},
        {"cache_implementation": "static", "disable_compile": True},
    ):
        together = made.model.generate(**inputs, **fixed, **options)
        assert together[1, -6:].tolist() == alone, options
