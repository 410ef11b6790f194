"""Each published network in transformers' class: the published implementation's numbers."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file

from tuneglm.models import family_named
from tuneglm.models.fused_adapters import to_fused, to_split
from tuneglm.models.layout import to_native
from tuneglm.models.loading import load_model
from tuneglm.models.published import save_published
from tuneglm.models.weights import read_tensors

GOLDEN = Path(__file__).parent / "golden"
FOLDERS = {"chatglm": "v1", "chatglm2": "v2", "chatglm3": "v3", "glm4": "glm4"}
WITH_ADAPTERS = ("chatglm", "chatglm2", "chatglm3")
FUSED = ("chatglm2", "chatglm3")


class Golden(NamedTuple):
    family: str
    folder: Path
    tensors: dict[str, torch.Tensor]
    figures: dict[str, Any]

    @property
    def inputs(self) -> dict[str, torch.Tensor]:
        return inputs_of(self.tensors)

    @property
    def real(self) -> torch.Tensor:
        """Which positions are no padding: (batch, length)."""
        return self.inputs["attention_mask"].bool()

    def model(self, **arguments: Any) -> Any:
        return load_model(
            self.folder, family=self.family, dtype="float32", device="cpu", **arguments
        )


def inputs_of(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What a model takes of the golden data.

    ChatGLM-6B's published mask is of four dimensions, true where nothing is seen;
    ours takes the padding alone and derives the rest, positions included.
    """
    mask = tensors["attention_mask"]
    if mask.ndim == 4:
        return {
            "input_ids": tensors["input_ids"],
            "attention_mask": (~mask[:, 0].all(dim=1)).long(),
        }
    return {name: tensors[name] for name in ("input_ids", "attention_mask", "position_ids")}


@pytest.fixture(params=list(FOLDERS))
def golden(request: pytest.FixtureRequest) -> Golden:
    folder = GOLDEN / FOLDERS[request.param] / "base"
    figures = json.loads((folder / "golden.json").read_text())
    return Golden(request.param, folder, load_file(folder / "golden.safetensors"), figures)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_logits_hidden_states_and_loss(golden: Golden, attention: str) -> None:
    model = golden.model(attention=attention)
    output = model(**golden.inputs, labels=golden.tensors["labels"], output_hidden_states=True)
    torch.testing.assert_close(
        output.logits[golden.real], golden.tensors["logits"][golden.real], atol=1e-5, rtol=0
    )
    hidden = torch.stack(output.hidden_states)[:, golden.real]
    torch.testing.assert_close(
        hidden[:-1], golden.tensors["hidden_states"][:-1, golden.real], atol=1e-5, rtol=0
    )
    assert output.loss.item() == pytest.approx(golden.figures["loss"], rel=1e-5)


def test_gradients_norms(golden: Golden) -> None:
    """A fused weight's gradient is its parts' together."""
    model = golden.model()
    model(**golden.inputs, labels=golden.tensors["labels"]).loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    layout = family_named(golden.family).layout
    published = load_file(golden.folder / "model.safetensors")
    for key, norm in golden.figures["grad_norms"].items():
        parts = to_native(layout, model.config, key, published[key])
        squares = sum(gradients[name].square().sum().item() for name, _ in parts)
        assert squares**0.5 == pytest.approx(norm, rel=1e-4), key


@pytest.mark.parametrize("trained", ["full", "freeze_last_mlp"])
def test_loss_curve_of_ten_steps(golden: Golden, trained: str) -> None:
    curve = golden.figures.get(f"curve_{trained}_adamw_lr1e-3")
    if curve is None:
        pytest.skip("only ChatGLM-6B's golden data has a curve of the last MLP alone")
    model = golden.model()
    last = f"layers.{model.config.num_hidden_layers - 1}.mlp."
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trained == "full" or last in name)
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.0)
    losses = []
    for _ in curve:
        loss = model(**golden.inputs, labels=golden.tensors["labels"]).loss
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses == pytest.approx(curve, rel=1e-4)


def test_greedy_continuations(golden: Golden) -> None:
    model = golden.model()
    for case in golden.figures["greedy"]:
        prompt = torch.tensor([case["prompt"]])
        new = len(case["output"]) - len(case["prompt"])
        output = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=new,
            min_new_tokens=new,
            do_sample=False,
        )
        assert output[0].tolist() == case["output"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_row_alone_equals_the_row_in_a_padded_batch(golden: Golden, side: str) -> None:
    model = golden.model()
    rows = [ids[real] for ids, real in zip(golden.tensors["input_ids"], golden.real, strict=True)]
    rows = [row[: len(row) - 3 * place] for place, row in enumerate(rows)]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_side=side)
    mask = torch.nn.utils.rnn.pad_sequence(
        [torch.ones_like(row) for row in rows], batch_first=True, padding_side=side
    )
    inputs = {"input_ids": ids, "attention_mask": mask}
    if "position_ids" in golden.inputs:
        inputs["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
    batch = model(**inputs).logits
    for row, logits, real in zip(rows, batch, mask.bool(), strict=True):
        alone = model(input_ids=row[None]).logits[0]
        torch.testing.assert_close(logits[real], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", WITH_ADAPTERS)
def test_adapters_of_others_on_fused_modules(family: str) -> None:
    folder = GOLDEN / FOLDERS[family]
    golden = load_file(folder / "lora_adapter" / "golden.safetensors")
    model = load_model(
        folder / "base",
        family=family,
        dtype="float32",
        device="cpu",
        adapters=[folder / "lora_adapter"],
    )
    inputs = inputs_of(golden)
    real = inputs["attention_mask"].bool()
    torch.testing.assert_close(
        model(**inputs).logits[real], golden["logits"][real], atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("family", WITH_ADAPTERS)
def test_adapters_merged_into_the_weights(family: str) -> None:
    folder = GOLDEN / FOLDERS[family]
    model: Any = load_model(
        folder / "base",
        family=family,
        dtype="float32",
        device="cpu",
        adapters=[folder / "lora_adapter"],
    )
    ids = load_file(folder / "lora_adapter" / "golden.safetensors")["input_ids"]
    apart = model(ids).logits
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    assert layers
    for layer in layers:
        layer.merge()
    torch.testing.assert_close(model(ids).logits, apart, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FUSED)
def test_the_way_back_of_an_adapter_gives_the_same_update(family: str) -> None:
    """Our q, k and v adapters as one fused adapter of rank 3r: the same product B·A."""
    folder = GOLDEN / FOLDERS[family]
    layout = family_named(family).layout
    config = load_model(folder / "base", family=family, dtype="float32", device="cpu").config
    theirs = dict(read_tensors(folder / "lora_adapter" / "adapter_model.safetensors"))
    _, ours = to_split(layout, config, {}, theirs)
    back = to_fused(layout, config, ours)
    for key in [key for key in theirs if "lora_A" in key]:
        name = key.removeprefix("base_model.model.")
        up_name = name.replace("lora_A", "lora_B")
        update = theirs[key.replace("lora_A", "lora_B")] @ theirs[key]
        torch.testing.assert_close(back[up_name] @ back[name], update, atol=1e-6, rtol=0)


def test_weights_through_both_layouts_are_bitwise_equal(golden: Golden, tmp_path: Path) -> None:
    model = golden.model()
    model.save_pretrained(tmp_path / "native")
    native = load_model(tmp_path / "native", dtype="float32", device="cpu")
    save_published(native, family_named(golden.family).layout, tmp_path / "published")
    before = dict(read_tensors(golden.folder / "model.safetensors"))
    after = dict(read_tensors(tmp_path / "published" / "model.safetensors"))
    before = {key: tensor for key, tensor in before.items() if "inv_freq" not in key}
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    again = load_model(tmp_path / "published", family=golden.family, dtype="float32", device="cpu")
    assert torch.equal(again(**golden.inputs).logits, model(**golden.inputs).logits)
