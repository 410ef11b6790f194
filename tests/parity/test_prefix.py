"""P-tuning v2 in each published network: the published numbers, and the ways it is saved."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.parity.test_networks import GOLDEN, inputs_of
from tuneglm.errors import ModelError
from tuneglm.models import family_named
from tuneglm.models.loading import load_model
from tuneglm.models.prefix import split_prefix
from tuneglm.models.published import save_published

FAMILIES = {"v1": "chatglm", "v2": "chatglm2", "v3": "chatglm3"}


class Case(NamedTuple):
    family: str
    folder: Path

    def load(self, folder: Path | None = None, **options: Any) -> Any:
        return load_model(
            folder or self.folder, family=self.family, dtype="float32", device="cpu", **options
        )

    @property
    def golden(self) -> dict[str, torch.Tensor]:
        return load_file(self.folder / "golden.safetensors")

    @property
    def figures(self) -> dict[str, Any]:
        figures: dict[str, Any] = json.loads((self.folder / "golden.json").read_text())
        return figures

    def parts(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Tensors of the prefix under their published names, and the model's."""
        tensors = load_file(self.folder / "model.safetensors")
        prefix, model = split_prefix(tensors)
        return {f"transformer.prefix_encoder.{name}": each for name, each in prefix.items()}, model


@pytest.fixture(
    params=[f"{v}/{form}" for v in FAMILIES for form in ("prefix", "prefix_projection")]
)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(FAMILIES[request.param[:2]], GOLDEN / request.param)


def assert_golden(case: Case, model: Any) -> None:
    golden = case.golden
    inputs = inputs_of(golden)
    real = inputs["attention_mask"].bool()
    logits = model(**inputs).logits
    torch.testing.assert_close(logits[real], golden["logits"][real], atol=1e-5, rtol=0)


def base_of(case: Case, folder: Path) -> Path:
    """The same model without its prefix."""
    folder.mkdir()
    save_file(case.parts()[1], folder / "model.safetensors")
    config = json.loads((case.folder / "config.json").read_text())
    del config["pre_seq_len"], config["prefix_projection"]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_model_with_its_prefix_in_one_folder(case: Case) -> None:
    model = case.load()
    assert_golden(case, model)
    loss = model(**inputs_of(case.golden), labels=case.golden["labels"]).loss
    assert loss.item() == pytest.approx(case.figures["loss"], rel=1e-5)
    loss.backward()
    gradients = {
        name.rpartition("prefix_encoder.")[2]: parameter.grad
        for name, parameter in model.named_parameters()
    }
    for key, norm in case.figures["grad_norms"].items():
        name = key.rpartition("prefix_encoder.")[2]
        assert gradients[name].norm().item() == pytest.approx(norm, rel=1e-4), key


def test_the_curve_of_ten_steps_on_the_prefix_alone(case: Case) -> None:
    model = case.load()
    trained = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("prefix_encoder" in name)
        trained += [parameter] if parameter.requires_grad else []
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.0)
    losses = []
    for _ in case.figures["curve_prefix_adamw_lr1e-2"]:
        loss = model(**inputs_of(case.golden), labels=case.golden["labels"]).loss
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses == pytest.approx(case.figures["curve_prefix_adamw_lr1e-2"], rel=1e-4)


def test_the_folder_of_an_official_script_holds_the_prefix_alone(
    case: Case, tmp_path: Path
) -> None:
    """Its config.json names the model, by `_name_or_path`."""
    base = base_of(case, tmp_path / "base")
    saved = tmp_path / "checkpoint-3000"
    saved.mkdir()
    torch.save(case.parts()[0], saved / "pytorch_model.bin")
    config = json.loads((case.folder / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "_name_or_path": str(base)}))
    assert_golden(case, case.load(saved))
    assert_golden(case, case.load(base, adapters=saved))


def test_the_folder_of_the_original_tool_holds_the_prefix_alone(case: Case, tmp_path: Path) -> None:
    base = base_of(case, tmp_path / "base")
    saved = tmp_path / "output"
    saved.mkdir()
    torch.save(case.parts()[0], saved / "adapter_model.bin")
    assert_golden(case, case.load(base, adapters=[saved]))
    with pytest.raises(ModelError, match="does not say of which"):
        case.load(saved)


def test_a_model_with_a_prefix_is_saved_in_both_layouts(case: Case, tmp_path: Path) -> None:
    model = case.load()
    model.save_pretrained(tmp_path / "ours")
    assert_golden(case, load_model(tmp_path / "ours", dtype="float32", device="cpu"))
    layout: Any = family_named(case.family).layout
    save_published(model, layout, tmp_path / "published")
    assert_golden(case, case.load(tmp_path / "published"))
    before = load_file(case.folder / "model.safetensors")
    after = load_file(tmp_path / "published" / "model.safetensors")
    before = {name: tensor for name, tensor in before.items() if "inv_freq" not in name}
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    config = json.loads((tmp_path / "published" / "config.json").read_text())
    published = json.loads((case.folder / "config.json").read_text())
    assert {key: config.get(key) for key in ("pre_seq_len", "prefix_projection")} == {
        key: published[key] for key in ("pre_seq_len", "prefix_projection")
    }


def test_a_checkpoint_without_its_prefix_is_refused(case: Case, tmp_path: Path) -> None:
    base = base_of(case, tmp_path / "base")
    shutil.copy(case.folder / "config.json", base)
    with pytest.raises(ModelError, match=r"`pre_seq_len: 8`, but the weights hold no prefix"):
        case.load(base)


def test_a_folder_of_ours_without_its_prefix_is_refused(case: Case, tmp_path: Path) -> None:
    case.load().save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = {name: each for name, each in load_file(file).items() if "prefix" not in name}
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="the weights hold no prefix"):
        load_model(tmp_path, device="cpu")


def test_a_mask_of_numbers_is_one_of_booleans(case: Case) -> None:
    model = case.load()
    ids = torch.tensor([[20, 21, 22, 501, 504, 30]])
    seen = torch.ones(6, 6).tril().bool()[None, None]
    shape = (1, 2, 6) if case.family == "chatglm" else (1, 6)
    positions = torch.arange(6).expand(shape)
    numbers = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    logits = [
        model(ids, attention_mask=mask, position_ids=positions).logits for mask in (seen, numbers)
    ]
    torch.testing.assert_close(logits[0], logits[1])


def test_a_prefix_of_another_model_or_in_part_is_refused(case: Case, tmp_path: Path) -> None:
    base = base_of(case, tmp_path / "base")
    prefix = case.parts()[0]
    last = list(prefix)[-1]
    narrower = {**prefix, last: prefix[last][..., :-1].clone()}
    # an embedding alone is whole; with a projection behind it, each tensor is needed
    in_part = {name: prefix[name] for name in list(prefix)[:-1]}
    for number, broken in enumerate(filter(None, (narrower, in_part))):
        saved = tmp_path / str(number)
        saved.mkdir()
        torch.save(broken, saved / "adapter_model.bin")
        with pytest.raises(ModelError, match="The prefix"):
            case.load(base, adapters=saved)


@pytest.mark.parametrize("cache", ["dynamic", "static", "none"])
def test_every_cache_gives_the_same_answer(case: Case, cache: str) -> None:
    model = case.load()
    prompt = torch.tensor([[20, 21, 22, 501, 504], [3, 30, 31, 501, 504]])
    inputs = {"input_ids": prompt, "attention_mask": (prompt != 3).long()}
    options: dict[str, Any] = {
        "dynamic": {},
        "static": {"cache_implementation": "static", "disable_compile": True},
        "none": {"use_cache": False},
    }[cache]
    arguments = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    together = model.generate(**inputs, **arguments, **options)
    alone = model.generate(prompt[1:, 1:], **arguments)
    assert together[1, -6:].tolist() == alone[0, -6:].tolist()


def test_gradient_checkpointing_gives_equal_gradients(case: Case) -> None:
    model = case.load().train()
    model.base_model.prefix_encoder.dropout.p = 0.0
    inputs = {**inputs_of(case.golden), "labels": case.golden["labels"]}

    def gradient() -> torch.Tensor:
        model.zero_grad()
        model(**inputs).loss.backward()
        weight: torch.Tensor = model.base_model.prefix_encoder.embedding.weight
        assert weight.grad is not None
        return weight.grad.clone()

    plain = gradient()
    model.gradient_checkpointing_enable()
    assert torch.equal(gradient(), plain)


# layers that were trained themselves


def test_weights_alone_take_the_place_of_the_models(tmp_path: Path) -> None:
    """What ChatGLM-Efficient-Tuning saves after tuning by freeze."""
    base = GOLDEN / "v1" / "base"
    name = "transformer.layers.2.mlp.dense_4h_to_h.weight"
    weight = load_file(base / "model.safetensors")[name] + 1
    torch.save({name: weight}, tmp_path / "adapter_model.bin")
    options: Any = {"dtype": "float32", "device": "cpu"}
    model = load_model(base, adapters=tmp_path, **options)
    assert torch.equal(model.get_parameter(name), weight)
    other = "transformer.layers.1.mlp.dense_4h_to_h.weight"
    assert torch.equal(model.get_parameter(other), load_file(base / "model.safetensors")[other])


@pytest.mark.parametrize(
    ("name", "shape"),
    [("transformer.layers.2.mlp.dense_4h_to_h.weight", (3, 3)), ("another.weight", (3,))],
)
def test_weights_of_another_model_are_refused(
    tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    torch.save({name: torch.zeros(shape)}, tmp_path / "adapter_model.bin")
    with pytest.raises(ModelError, match=f"`{name}` of"):
        load_model(GOLDEN / "v1" / "base", adapters=tmp_path, device="cpu")
