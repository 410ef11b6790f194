"""LoRA's options: each is trained, saved, loaded by one path, and restored."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel

from tests.methods.cells import IDS, base_of, load, logits, read_json, refusal, train, tuned
from tuneglm.methods.tuned import Tuned
from tuneglm.models.adapters import merge_adapters

OPTIONS = {
    "rslora": ("method.rslora=true",),
    "dora": ("method.dora=true",),
    "pissa": ("method.init=pissa",),
    "pissa and rslora": (
        "method.init=pissa",
        "method.rslora=true",
        "method.rank_pattern={q_proj: 2}",
    ),
    "rank pattern": (
        "method.rank_pattern={query_key_value: 2, down_proj: 3}",
        "method.targets=all",
    ),
    "head": ("method.modules_to_save=lm_head",),
    "tokens": (f"method.tokens=[{int(IDS[0, 0])},22]",),
    "split and fused": ("method.targets=[query_key_value,o_proj]",),
    "excluded": ("method.targets=all", "method.exclude=[o_proj,dense_4h_to_h]"),
}


@pytest.mark.parametrize("family", ["chatglm2", "chatglm"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_an_option(family: str, options: tuple[str, ...], tmp_path: Path) -> None:
    if family == "chatglm" and "lm_head" in str(options):
        pytest.skip("its head is tied")
    base = base_of(family, tmp_path)
    settings = ("method.rank=4", *options)
    made = tuned(base, family, "lora", *settings)
    before = logits(load(base, family))
    # every option starts where the base is
    torch.testing.assert_close(logits(made.model.eval()), before, atol=1e-5, rtol=0)
    losses = train(made, 1e-2)
    assert losses[-1] < losses[0]
    made.model.save_pretrained(tmp_path / "out")
    again = load(tmp_path / "out", family)
    trained = logits(made.model)
    torch.testing.assert_close(logits(again), trained, atol=2e-5, rtol=0)
    merge_adapters(again)
    torch.testing.assert_close(logits(again), trained, atol=2e-5, rtol=0)


def test_pissa_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Its checkpoint is plain LoRA of twice the rank; also with another draw of the start."""
    base = base_of("chatglm2", tmp_path)
    made = tuned(base, "chatglm2", "lora", "method.rank=4", "method.init=pissa")
    train(made, 1e-2)
    made.model.save_pretrained(tmp_path / "out")
    assert read_json(tmp_path / "out" / "adapter_config.json")["r"] == 8
    resumed = tuned(base, "chatglm2", "lora", "method.rank=4", "method.init=pissa")
    assert resumed.restore is not None
    resumed.restore(tmp_path / "out")
    theirs, ours = dict(made.model.named_parameters()), dict(resumed.model.named_parameters())
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    # a start of other signs, as another machine may find it, is undone as well
    other = tuned(base, "chatglm2", "lora", "method.rank=4", "method.init=pissa")
    for module in other.model.modules():
        if "lora_A" in dict(module.named_children()):
            for letter in (module.lora_A, module.lora_B):  # type: ignore[union-attr]
                letter["default"].weight.data[:] *= -1  # type: ignore[index, union-attr]
    assert other.restore is not None
    other.restore(tmp_path / "out")
    torch.testing.assert_close(logits(other.model.eval()), logits(made.model), atol=1e-5, rtol=0)


def test_b_learns_faster_than_a(tmp_path: Path) -> None:
    from transformers import TrainingArguments

    from tuneglm.stages.sft import SftTrainer

    base = base_of("chatglm2", tmp_path)
    made = tuned(base, "chatglm2", "lora", "method.lora_plus=16")
    arguments = TrainingArguments(str(tmp_path / "o"), use_cpu=True, learning_rate=1e-4)
    trainer = SftTrainer(made, args=arguments)
    optimizer = trainer.create_optimizer()
    names = {weight: name for name, weight in made.model.named_parameters()}
    rates = {
        names[weight]: group["lr"] for group in optimizer.param_groups for weight in group["params"]
    }
    assert rates == {
        name: pytest.approx(16e-4 if ".lora_B." in name else 1e-4) for name in made_names(made)
    }


def made_names(made: Tuned) -> list[str]:
    return [name for name, each in made.model.named_parameters() if each.requires_grad]


def test_what_is_trained_whole_is_float32_in_a_half_precise_model(tmp_path: Path) -> None:
    base = base_of("chatglm2", tmp_path)
    settings = ("method.modules_to_save=lm_head", "method.tokens=[22]")
    made = tuned(base, "chatglm2", "lora", *settings, dtype="bfloat16")
    kinds = {each.dtype for each in made.model.parameters() if each.requires_grad}
    assert kinds == {torch.float32}
    losses = train(made, 1e-2)
    assert losses[-1] < losses[0]


def test_peft_reads_what_we_save(tmp_path: Path) -> None:
    base = base_of("native", tmp_path)
    made = tuned(base, "native", "lora", "method.init=pissa", "method.tokens=[22]")
    train(made, 1e-2)
    made.model.save_pretrained(tmp_path / "out")
    theirs = PeftModel.from_pretrained(load(base, "native"), tmp_path / "out").eval()
    torch.testing.assert_close(logits(theirs), logits(made.model), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("method.targets=q_prj",), "did you mean `q_proj`"),
        (("method.exclude=q_prj",), "did you mean `q_proj`"),
        (("method.rank_pattern={q_prj: 4}",), "did you mean `q_proj`"),
        (("method.modules_to_save=lm_hed",), "did you mean `lm_head`"),
        (("method.exclude=query_key_value",), "leaves no module"),
        (("method.tokens=[512]",), "vocabulary 512 tokens"),
        (("method.init=pissa", "model.bits=4"), "a model in 4 bits"),
        (("method.init=pissa", "method.dora=true"), "method.dora"),
    ],
)
def test_what_cannot_be_is_said_before_the_weights_are_read(
    settings: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    source = base_of("chatglm2", tmp_path) / "config.json"
    (tmp_path / "config.json").write_text(source.read_text())
    assert message in refusal(tmp_path, "chatglm2", "lora", *settings)


def test_a_tied_head_is_not_saved_apart(tmp_path: Path) -> None:
    said = refusal(
        base_of("chatglm", tmp_path), "chatglm", "lora", "method.modules_to_save=lm_head"
    )
    assert "it is tied to another" in said
