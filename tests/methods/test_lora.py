"""LoRA's options: each is trained, saved, loaded by one path, and restored."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import PhiConfig, PhiForCausalLM

from tests.methods.cells import (
    FAMILIES,
    IDS,
    LABELS,
    base_of,
    inputs,
    load,
    logits,
    read_json,
    refusal,
    train,
    tuned,
)
from tuneglm.errors import ModelError
from tuneglm.methods.lora import refuse_earlier_rows, take_over
from tuneglm.methods.tuned import Tuned
from tuneglm.models import family_named
from tuneglm.models.adapters import merge_adapters
from tuneglm.stages.question import Question
from tuneglm.stages.sft import Way, summed_loss

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


@pytest.mark.parametrize("family", FAMILIES)
def test_a_token_is_read_and_written(family: str, tmp_path: Path) -> None:
    """Its rows of the embeddings are trained, those of the head too, and no others."""
    base = base_of(family, tmp_path)
    token = int(LABELS[0, -2])
    made = tuned(base, family, "lora", f"method.tokens=[22,{token}]")
    train(made, 1e-2)
    made.model.save_pretrained(tmp_path / "out")
    before, after = load(base, family), load(tmp_path / "out", family)
    merged = made.model.merge_and_unload()  # type: ignore[operator]
    for part in ("get_input_embeddings", "get_output_embeddings"):
        old, new, peft_own = (getattr(each, part)().weight for each in (before, after, merged))
        assert (old != new).any(1).nonzero().squeeze(1).tolist() == sorted([22, token])
        assert torch.equal(new, peft_own)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_and_its_gradients_are_those_of_a_whole_head(
    smoothing: float, tmp_path: Path
) -> None:
    """What the stage makes of rows of tokens: as if all of both were trained."""
    base, tokens = base_of("native", tmp_path), [22, int(LABELS[0, -1]), int(LABELS[1, -1])]
    made = tuned(base, "native", "lora", f"method.tokens={tokens}")
    train(made, 1e-2)
    whole = made.model.train().get_base_model()  # type: ignore[operator]
    positions = torch.arange(IDS.shape[1] - 1)
    question = Question(LABELS[:, 1:], smoothing=smoothing)
    summed_loss(made.model, inputs(), positions, question, Way.of(whole)).backward()
    tables = [whole.get_input_embeddings(), whole.get_output_embeddings()]
    found = [each.token_adapter.trainable_tokens_delta["default"].grad for each in tables]
    for name in ("model.embed_tokens", "lm_head"):
        wrapper = whole.get_submodule(name)
        wrapper.original_module.weight = torch.nn.Parameter(wrapper.weight.detach().clone())
        whole.set_submodule(name, wrapper.original_module)
    asked = Question(LABELS[:, 1:], smoothing=smoothing)
    way = Way.of(whole)
    assert way.head is not None, "a head that is whole is asked for its loss"
    summed_loss(made.model, inputs(), positions, asked, way).backward()
    assert question.losses is not None and asked.losses is not None
    torch.testing.assert_close(question.losses, asked.losses, atol=1e-5, rtol=0)
    for rows, name in zip(found, ("input", "output"), strict=True):
        every = getattr(whole, f"get_{name}_embeddings")().weight.grad
        torch.testing.assert_close(rows, every[tokens], atol=1e-5, rtol=0)


def test_an_adapter_whose_heads_rows_were_left_alone_goes_on(tmp_path: Path) -> None:
    """As earlier versions trained them: the head's begin as the model has them."""
    base = base_of("chatglm2", tmp_path)
    made = tuned(base, "chatglm2", "lora", "method.tokens=[22,31]")
    train(made, 1e-2)
    earlier = without_rows_of_head(made, tmp_path / "earlier")
    again = tuned(base, "chatglm2", "lora", "method.tokens=[22,31]")
    take_over(again.model, earlier, family_named("chatglm2"))  # type: ignore[arg-type]
    torch.testing.assert_close(
        logits(again.model.eval()), logits(load(earlier, "chatglm2")), atol=1e-5, rtol=0
    )
    with pytest.raises(ModelError, match="is of an earlier version"):
        refuse_earlier_rows(again.model, earlier)


def without_rows_of_head(made: Tuned, folder: Path) -> Path:
    made.model.save_pretrained(folder)
    settings = read_json(folder / "adapter_config.json")
    del settings["trainable_token_indices"]["lm_head"]
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    file = folder / "adapter_model.safetensors"
    weights = {name: each for name, each in load_file(file).items() if "lm_head" not in name}
    save_file(weights, file)
    return folder


def test_a_head_with_a_bias_is_trained_whole_or_not_at_all(tmp_path: Path) -> None:
    config = PhiConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    PhiForCausalLM(config).save_pretrained(tmp_path)
    said = refusal(tmp_path, "native", "lora", "method.tokens=[5]")
    assert "head `lm_head`" in said and "method.modules_to_save=[lm_head]" in said
    whole = ("method.tokens=[5]", "method.modules_to_save=lm_head")
    assert not refusal(tmp_path, "native", "lora", *whole)


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
