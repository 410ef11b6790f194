"""Packed, padded and grouped by length are one training: equal losses, equal gradients."""

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import peft
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    Glm4Config,
    Glm4MoeConfig,
    MistralConfig,
    PreTrainedConfig,
    TrainingArguments,
)

from tests.parity.test_networks import FOLDERS, GOLDEN
from tuneglm.data.collate import collate, concatenate
from tuneglm.data.encoded import UNTRAINED, Encoded
from tuneglm.data.pack import packs, rectangles
from tuneglm.errors import ModelError
from tuneglm.methods.tuned import Tuned
from tuneglm.models import family_named, products
from tuneglm.models import varlen as varlen_module
from tuneglm.models.attention import block_mask, keep_rows_apart
from tuneglm.models.fast import is_fast, make_fast
from tuneglm.models.loading import load_model
from tuneglm.models.prefix import PrefixEncoder, prefix_sizes, put_prefix
from tuneglm.models.segments import Segments
from tuneglm.stages.sft import SftTrainer

GMASK, SOP, PAD = 501, 504, 3
LENGTHS = (31, 9, 20, 5, 17, 26, 12)
CAPACITY = 48
SIZES: dict[str, int] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "pad_token_id": PAD,
}
EXPERTS = {"moe_intermediate_size": 32, "n_routed_experts": 4, "num_experts_per_tok": 2}
NATIVE: dict[str, PreTrainedConfig] = {
    "native glm4": Glm4Config(**SIZES),
    "native glm4_moe": Glm4MoeConfig(**SIZES, **EXPERTS, first_k_dense_replace=1),
    "native with a window": MistralConfig(**SIZES, sliding_window=8),
}
NETWORKS = (*FOLDERS, *NATIVE)


def network(name: str) -> Any:
    if name in FOLDERS:
        folder = GOLDEN / FOLDERS[name] / "base"
        return load_model(folder, family=name, dtype="float32", device="cpu").train()
    torch.manual_seed(0)
    # sdpa is chosen as loading chooses it: a model made from a config alone takes eager
    return AutoModelForCausalLM.from_config(NATIVE[name], attn_implementation="sdpa").train()


def rows(name: str, seed: int = 0) -> list[Encoded]:
    """Prompt and answer, and in every other row an earlier exchange whose answer is trained."""
    draw = random.Random(seed)
    return [_row(draw, length, name, history=i % 2 == 0) for i, length in enumerate(LENGTHS)]


def _row(draw: random.Random, length: int, name: str, history: bool) -> Encoded:
    ids = [draw.randrange(10, 490) for _ in range(length)]
    answer = length // 2
    trained = set(range(answer, length))
    if name == "chatglm":
        ids[answer - 2 : answer] = [GMASK, SOP]
    elif history:
        trained |= set(range(1, length // 4))
    labels = [token if i in trained else UNTRAINED for i, token in enumerate(ids)]
    return Encoded(ids, labels, [False] * length)


def padded(given: Sequence[Encoded]) -> list[dict[str, torch.Tensor]]:
    return [collate(given, pad_token_id=PAD)]


def grouped(given: Sequence[Encoded]) -> list[dict[str, torch.Tensor]]:
    order = sorted(range(len(given)), key=lambda i: given[i].length)
    groups = rectangles([given[i].length for i in order], 2 * CAPACITY)
    assert len(groups) > 1
    return [collate([given[order[i]] for i in group], pad_token_id=PAD) for group in groups]


def packed(given: Sequence[Encoded]) -> list[dict[str, torch.Tensor]]:
    groups = packs([row.length for row in given], CAPACITY)
    assert 1 < len(groups) < len(given)
    return [concatenate([given[i] for i in group]) for group in groups]


def step(
    model: Any, batches: Iterable[dict[str, torch.Tensor]], folder: Path
) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of a step accumulated over `batches`, as the stage computes them."""
    arguments = TrainingArguments(str(folder), use_cpu=True, report_to="none")
    trainer = SftTrainer(Tuned(model), args=arguments)
    count = sum((batch["labels"][:, 1:] != UNTRAINED).sum() for batch in batches)
    model.zero_grad()
    loss = sum(trainer.compute_loss(model, batch, num_items_in_batch=count) for batch in batches)
    loss.backward()
    return loss.item(), gradients_of(model)


def gradients_of(model: Any) -> dict[str, torch.Tensor]:
    gradients = {name: each.grad for name, each in model.named_parameters() if each.requires_grad}
    assert all(each is not None for each in gradients.values())
    return gradients


def keep_apart(model: Any, name: str) -> None:
    keep_rows_apart(model, family_named(name if name in FOLDERS else "native").place_rows)


def plain(model: Any) -> Any:
    return model


def checkpointed(model: Any) -> Any:
    model.gradient_checkpointing_enable()
    return model


def adapted(model: Any) -> Any:
    fused = model.config.model_type == "chatglm"
    targets = ["query_key_value"] if fused else ["q_proj", "v_proj", "o_proj"]
    # weights that are not zero, so that both halves have gradients
    return peft.get_peft_model(
        model, peft.LoraConfig(target_modules=targets, init_lora_weights=False)
    )


def prefixed(model: Any) -> Any:
    sizes = prefix_sizes(model.config)
    encoder = PrefixEncoder(6, sizes, None, None)
    encoder.dropout.p = 0.0
    put_prefix(model.requires_grad_(False), encoder)
    return model


def prefixed_and_checkpointed(model: Any) -> Any:
    return checkpointed(prefixed(model))


@pytest.mark.parametrize(
    "tune", [plain, checkpointed, adapted, prefixed, prefixed_and_checkpointed]
)
@pytest.mark.parametrize("name", NETWORKS)
def test_packed_padded_and_grouped_give_equal_losses_and_gradients(
    name: str, tune: Callable[[Any], Any], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    base = network(name)
    model = tune(base)
    given = rows(name)
    loss, gradients = step(model, padded(given), tmp_path)
    results = [step(model, grouped(given), tmp_path)]
    keep_apart(base, name)
    results.append(step(model, packed(given), tmp_path))
    for other_loss, others in results:
        assert other_loss == pytest.approx(loss, abs=1e-5)
        assert_alike(others, gradients)


@pytest.mark.parametrize("name", [name for name in NETWORKS if "moe" not in name])
@pytest.mark.parametrize("prefix", [False, True])
def test_another_neighbour_changes_nothing_at_all(name: str, prefix: bool) -> None:
    """Not even a rounding: the same row gives bitwise the same logits beside any other."""
    model = network(name).eval()
    keep_apart(model, name)
    if prefix:
        put_prefix(model, PrefixEncoder(6, prefix_sizes(model.config), None, None))
        model.eval()
    given, others = rows(name), rows(name, seed=1)
    place = 2
    before = sum(LENGTHS[:place])
    logits = [logits_of(model, each) for each in (given, [*others[:2], given[2], *others[3:]])]
    own = slice(before, before + LENGTHS[place])
    assert torch.equal(logits[0][own], logits[1][own])
    assert not torch.equal(logits[0][:before], logits[1][:before])


def usual_step(model: Any, given: Sequence[Encoded]) -> tuple[float, dict[str, torch.Tensor]]:
    """Of one padded batch, by what the network itself gives and torch's own cross entropy."""
    batch = collate(given, pad_token_id=PAD)
    targets = batch.pop("labels")[:, 1:].flatten()
    model.zero_grad()
    logits = model(**batch, use_cache=False).logits[:, :-1].flatten(0, 1)
    loss = cross_entropy(logits, targets, ignore_index=UNTRAINED)
    loss.backward()
    return loss.item(), gradients_of(model)


@pytest.fixture
def by_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch has it, products of few rows too."""
    monkeypatch.setattr(products, "by_onednn", torch.backends.mkldnn.is_available)
    monkeypatch.setattr(products, "MANY_ROWS", 2)


@pytest.mark.usefixtures("by_onednn")
@pytest.mark.parametrize("tune", [plain, adapted, prefixed])
@pytest.mark.parametrize("name", NETWORKS)
def test_fast_layers_on_packed_rows_learn_what_plain_ones_learn_of_padded(
    name: str, tune: Callable[[Any], Any], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    base = network(name)
    model = tune(base)
    given = rows(name)
    loss, gradients = usual_step(model, given)
    keep_apart(base, name)
    make_fast(model)
    assert any(is_fast(module) for module in model.modules())
    fast_loss, fast_gradients = step(model, packed(given), tmp_path)
    assert fast_loss == pytest.approx(loss, rel=1e-5)
    assert_alike(fast_gradients, gradients)


def assert_alike(ours: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    """Gradients, each within 1e-5 of the largest there is."""
    largest = max(each.abs().max().item() for each in wanted.values())
    torch.testing.assert_close(ours, wanted, atol=1e-5 * min(largest, 1.0), rtol=1e-5)


@pytest.mark.usefixtures("by_onednn")
@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_packed_row_gives_the_logits_of_the_row_alone(name: str, fast: bool) -> None:
    model = network(name).eval()
    given = rows(name)
    alone = torch.cat([model(torch.tensor([row.input_ids])).logits[0] for row in given])
    keep_apart(model, name)
    if fast:
        make_fast(model)
    torch.testing.assert_close(logits_of(model, given), alone, atol=1e-5, rtol=0)
    # and without `row_lengths` the model is what it was
    again = torch.cat([model(torch.tensor([row.input_ids])).logits[0] for row in given])
    torch.testing.assert_close(again, alone, atol=1e-6, rtol=0)


def logits_of(model: Any, given: Sequence[Encoded]) -> torch.Tensor:
    batch = concatenate(given)
    del batch["labels"]
    with torch.inference_mode():
        logits: torch.Tensor = model(**batch, use_cache=False).logits[0]
    return logits


@pytest.mark.parametrize("name", ["chatglm", "glm4"])
def test_positions_of_a_packed_row_are_those_of_the_row_alone(name: str) -> None:
    config = network(name).config
    place = family_named(name).place_rows
    given = rows(name)
    positions, contexts = place(config, concatenate(given)["input_ids"], LENGTHS)
    parts = positions.split(LENGTHS, dim=-1)
    for row, part, context in zip(given, parts, contexts):
        ids = torch.tensor([row.input_ids])
        alone, _ = place(config, ids, [row.length])
        assert torch.equal(part, alone)
        assert context == (row.input_ids.index(SOP) if name == "chatglm" else 0)
    assert positions.shape == ((1, 2, sum(LENGTHS)) if name == "chatglm" else (1, sum(LENGTHS)))


def test_the_mask_of_flex_attention_says_the_same() -> None:
    """Its kernel runs on a GPU only; what it is told, anywhere."""
    mask = block_mask(Segments((3, 4), (0, 2)), torch.device("cpu"))
    seen = torch.tensor(
        [[mask.mask_mod(0, 0, *torch.tensor([q, k])) for k in range(7)] for q in range(7)]
    )
    assert seen.long().tolist() == [
        [1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [0, 0, 0, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 1, 0],
        [0, 0, 0, 1, 1, 1, 1],
    ]


@pytest.mark.parametrize("says_shared", [False, True])
def test_the_kernel_is_told_of_shared_heads_where_it_wants_to_be(
    says_shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch 2.11 has no word for it and takes them; 2.13 refuses them without the word."""

    def knows(*_: Any, scale: float, window_size: Any, enable_gqa: bool = False) -> bool:
        return enable_gqa

    def knows_not(*_: Any, scale: float, window_size: Any) -> bool:
        return False

    module = pytest.importorskip("torch.nn.attention.varlen")
    monkeypatch.setattr(module, "varlen_attn", knows if says_shared else knows_not)
    kernel: Any = varlen_module._kernel.__wrapped__()
    assert kernel(scale=1.0, window_size=(-1, 0)) is says_shared


def test_where_rows_end_is_told_once_and_serves_training_too() -> None:
    with torch.inference_mode():
        ends = varlen_module.boundaries((3, 4), torch.device("cpu"))
    assert ends.tolist() == [0, 3, 7] and not ends.is_inference()
    assert varlen_module.boundaries((3, 4), torch.device("cpu")) is ends


@pytest.mark.parametrize("attention", ["eager", "flex_attention"])
def test_an_attention_that_cannot_keep_rows_apart_is_refused(attention: str) -> None:
    model = load_model(GOLDEN / "v2" / "base", device="cpu", attention=attention)
    with pytest.raises(ModelError, match=rf"Rows cannot be packed: .*{attention}"):
        keep_rows_apart(model)


def test_lengths_that_do_not_fit_are_an_error() -> None:
    model = network("glm4")
    keep_rows_apart(model)
    with pytest.raises(ValueError, match="of 5 tokens do not fit"):
        model(torch.tensor([[9, 9]]), row_lengths=torch.tensor([[2, 3]]))


def varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    query_ends: torch.Tensor,
    key_ends: torch.Tensor,
    *_: int,
    scale: float,
    window_size: tuple[int, int],
) -> torch.Tensor:
    """What torch's kernel for GPUs documents: a causal query's place counts from the last key."""
    outputs = []
    for i in range(len(query_ends) - 1):
        own = query[query_ends[i] : query_ends[i + 1]].transpose(0, 1)
        keys, values = (
            each[key_ends[i] : key_ends[i + 1]].transpose(0, 1) for each in (key, value)
        )
        seen = torch.ones(own.shape[1], keys.shape[1], dtype=torch.bool)
        left, right = window_size
        offset = keys.shape[1] - own.shape[1]
        seen = seen if right < 0 else seen.tril(offset + right)
        seen = seen if left < 0 else seen.triu(offset - left)
        output = torch.nn.functional.scaled_dot_product_attention(
            own, keys, values, attn_mask=seen, scale=scale, enable_gqa=True
        )
        outputs.append(output.transpose(0, 1))
    return torch.cat(outputs)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """In place of the one kernel of GPUs, which takes whatever there is here."""
    made = Mock(side_effect=varlen)
    monkeypatch.setattr(varlen_module, "_kernel", lambda: made)
    monkeypatch.setattr(varlen_module, "_is_fit", lambda query: True)
    return made


@pytest.mark.parametrize("tune", [plain, adapted, prefixed])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_one_kernel_of_gpus_is_asked_for_the_same_way_back(
    name: str, tune: Callable[[Any], Any], tmp_path: Path, kernel: Mock
) -> None:
    torch.manual_seed(0)
    base = network(name)
    model = tune(base)
    loss, gradients = usual_step(model, rows(name))
    assert not kernel.called
    keep_apart(base, name)
    kernel_loss, kernel_gradients = step(model, packed(rows(name)), tmp_path)
    assert kernel.called != (tune is prefixed and "window" in name)
    assert kernel_loss == pytest.approx(loss, rel=1e-5)
    assert_alike(kernel_gradients, gradients)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("prefix", [False, True])
def test_the_one_kernel_of_gpus_is_asked_for_the_same(
    name: str, prefix: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network(name).eval()
    keep_apart(model, name)
    if prefix:
        put_prefix(model, PrefixEncoder(6, prefix_sizes(model.config), None, None))
        model.eval()
    apart = logits_of(model, rows(name))
    kernel = Mock(side_effect=varlen)
    monkeypatch.setattr(varlen_module, "_kernel", lambda: kernel)
    monkeypatch.setattr(varlen_module, "_is_fit", lambda query: True)
    torch.testing.assert_close(logits_of(model, rows(name)), apart, atol=1e-5, rtol=0)
    assert kernel.called != (prefix and "window" in name)
