"""The head's loss in blocks and chunks against logits as a whole: values and gradients."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CohereConfig, CohereForCausalLM, GlmConfig, GlmForCausalLM

from tuneglm.data.encoded import UNTRAINED
from tuneglm.models import products
from tuneglm.models.fast import make_fast
from tuneglm.stages import head_blocks, head_chunks
from tuneglm.stages.head_loss import answered
from tuneglm.stages.kl import summed_kl
from tuneglm.stages.question import Question
from tuneglm.stages.sft import Way, said_at, summed_loss

HIDDEN, VOCABULARY = 8, 50
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "pad_token_id": 0,
}


@pytest.fixture(autouse=True)
def chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Several of them in what follows: sixteen positions each, or sixteen words."""
    monkeypatch.setitem(head_chunks.CHUNK_BYTES, "cpu", 1)
    monkeypatch.setattr(head_blocks, "BLOCK_BYTES", 1)
    monkeypatch.setattr(head_blocks, "FEWEST_WORDS", 16)
    monkeypatch.setattr(products, "by_onednn", torch.backends.mkldnn.is_available)
    yield


@pytest.fixture
def head() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(HIDDEN, VOCABULARY)


def some(rows: int, positions: int, untrained: bool) -> tuple[Tensor, Tensor]:
    """States and targets, of which some are not trained."""
    draw = torch.Generator().manual_seed(1)
    states = torch.randn(rows, positions, HIDDEN, generator=draw)
    targets = torch.randint(0, VOCABULARY, (rows, positions), generator=draw)
    if untrained:
        targets[torch.rand(rows, positions, generator=draw) < 0.3] = UNTRAINED
    return states, targets


def plainly(head: nn.Linear, states: Tensor, question: Question) -> tuple[Tensor, Tensor]:
    """The same from logits as a whole."""
    logits = head(states)
    losses = functional.cross_entropy(
        logits.flatten(0, 1),
        question.targets.flatten(),
        ignore_index=UNTRAINED,
        reduction="none",
        label_smoothing=question.smoothing,
    ).view_as(question.targets)
    total = (losses if question.counted is None else losses[question.counted]).sum()
    if question.base is not None and question.held is not None:
        total = total + question.kl * summed_kl(logits[question.held], head(question.base))
    return total, losses


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("held", [0, 1, 3])
@pytest.mark.parametrize("trains_head", [False, True])
def test_loss_and_gradients_are_those_of_whole_logits(
    head: nn.Linear, smoothing: float, held: int, trains_head: bool
) -> None:
    """Held are none, all, or one in three."""
    head.requires_grad_(trains_head)
    states, targets = some(3, 20, untrained=True)
    question = Question(targets, smoothing=smoothing)
    if held:
        question.held = (torch.arange(20) % held == 0).expand(3, -1) & (targets != UNTRAINED)
        question.counted = (torch.arange(20) % 2 == 0).expand(3, -1) & (targets != UNTRAINED)
        question.base = torch.randn(int(question.held.sum()), HIDDEN)
        question.kl = 0.7
    one, other = states.clone().requires_grad_(), states.clone().requires_grad_()
    answered(head, one, question)
    assert question.total is not None
    (question.total / 7).backward()
    gradients = [one.grad, head.weight.grad, None if head.bias is None else head.bias.grad]
    head.zero_grad()
    total, losses = plainly(head, other, question)
    (total / 7).backward()
    assert torch.allclose(question.total, total, rtol=1e-5)
    assert question.losses is not None
    assert torch.allclose(question.losses, losses, atol=1e-5)
    for mine, wanted in zip(gradients, [other.grad, head.weight.grad, head.bias.grad], strict=True):
        assert (mine is None) == (wanted is None)
        if mine is not None and wanted is not None:
            assert torch.allclose(mine, wanted, atol=1e-5)


@pytest.mark.parametrize("trains_head", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("has_way_back", [False, True])
def test_under_autocast_states_and_base_are_computed_in_one_type(
    head: nn.Linear, trains_head: bool, smoothing: float, has_way_back: bool
) -> None:
    """Both come in float32 where a norm before the head does."""
    head.requires_grad_(trains_head)
    states, targets = some(2, 20, untrained=True)
    held = targets != UNTRAINED
    base = torch.randn(int(held.sum()), HIDDEN)
    question = Question(targets, held=held, base=base, kl=0.7, smoothing=smoothing)
    one, other = states.clone().requires_grad_(), states.clone().requires_grad_()
    with torch.set_grad_enabled(has_way_back), torch.autocast("cpu", torch.bfloat16):
        answered(head, one, question)
    assert question.total is not None
    total, losses = plainly(head, other, question)
    assert torch.allclose(question.total, total, rtol=2e-2)
    assert question.losses is not None and torch.allclose(question.losses, losses, atol=5e-2)
    if has_way_back:
        question.total.backward()
        total.backward()
        assert one.grad is not None and other.grad is not None
        assert one.grad.dtype == torch.float32
        assert (one.grad - other.grad).norm() < 0.05 * other.grad.norm()


@pytest.mark.parametrize("trains_head", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_batch_without_a_trained_token_has_a_loss_of_nothing(
    head: nn.Linear, trains_head: bool, smoothing: float
) -> None:
    head.requires_grad_(trains_head)
    states, targets = some(2, 5, untrained=False)
    states.requires_grad_()
    question = Question(torch.full_like(targets, UNTRAINED), smoothing=smoothing)
    answered(head, states, question)
    assert question.total is not None and question.total.item() == 0
    question.total.backward()
    assert states.grad is not None and not states.grad.any()


def test_all_targets_at_once_need_no_look_at_them(head: nn.Linear) -> None:
    states, targets = some(1, 40, untrained=False)
    whole, looked = Question(targets, whole=True), Question(targets)
    answered(head, states, whole)
    answered(head, states, looked)
    assert whole.total == looked.total


def test_certain_and_impossible_targets_have_a_finite_loss(head: nn.Linear) -> None:
    with torch.no_grad():
        head.weight.mul_(1000)
    states, targets = some(1, 40, untrained=False)
    question = Question(targets, whole=True)
    answered(head, states.requires_grad_(), question)
    assert question.losses is not None
    assert torch.allclose(question.losses, plainly(head, states, question)[1], rtol=1e-5)
    assert question.losses.max() > 100


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_well_known_has_its_small_gradient(head: nn.Linear, dtype: torch.dtype) -> None:
    """Not what rounding leaves of the difference of two large ones."""
    head.requires_grad_(False).to(dtype)
    states = 16 * torch.randn(1, 200, HIDDEN, generator=torch.Generator().manual_seed(3)).to(dtype)
    targets = head(states).argmax(-1)
    one, other = states.clone().requires_grad_(), states.double().requires_grad_()
    question = Question(targets, whole=True)
    answered(head, one, question)
    assert question.total is not None
    question.total.backward()
    total, losses = plainly(copy.deepcopy(head).double(), other, question)
    total.backward()
    assert one.grad is not None and other.grad is not None
    known = (losses < 0.01) & (losses > 1e-4)
    assert known.sum() > 3
    apart = (one.grad - other.grad)[known].norm(dim=-1) / other.grad[known].norm(dim=-1)
    assert apart.max() < (0.1 if dtype == torch.bfloat16 else 0.01)


def test_without_a_way_back_nothing_is_kept(head: nn.Linear) -> None:
    states, targets = some(2, 20, untrained=True)
    question = Question(targets)
    with torch.no_grad():
        answered(head, states, question)
    assert question.total is not None
    assert not question.total.requires_grad


def network(kind: Any, config: Any, **more: Any) -> Any:
    torch.manual_seed(0)
    return kind(config(**SIZES, **more)).train()


@pytest.mark.parametrize(
    ("kind", "config", "by_head"),
    [(GlmForCausalLM, GlmConfig, True), (CohereForCausalLM, CohereConfig, False)],
)
@pytest.mark.parametrize("keeps", [True, False])
def test_a_network_that_scales_its_logits_is_found_out(
    kind: Any, config: Any, by_head: bool, keeps: bool
) -> None:
    sizes = {name: value for name, value in SIZES.items() if name != "head_dim"}
    torch.manual_seed(0)
    model = kind(config(**sizes)).train()
    make_fast(model)
    ids = torch.arange(1, 25)[None]
    positions, targets = torch.arange(3, 23), ids[:, 4:24]
    way = Way.of(model)
    assert way.head is not None
    way.keeps = keeps
    question = Question(targets, whole=True)
    total = summed_loss(model, {"input_ids": ids}, positions, question, way)
    assert (way.head is not None) is by_head
    asked = Way(keeps, model.lm_head)
    said = said_at(model, {"input_ids": ids}, positions, asked)
    assert (asked.head is not None) is by_head
    assert said.shape[-1] == (SIZES["hidden_size"] if by_head else VOCABULARY)
    logits = model(input_ids=ids).logits[:, positions]
    wanted = functional.cross_entropy(logits[0], targets[0], reduction="sum")
    assert torch.allclose(total, wanted, rtol=1e-5)


def test_what_a_base_says_is_the_input_of_its_head() -> None:
    model = network(GlmForCausalLM, GlmConfig)
    way, ids = Way.of(model), torch.arange(1, 25)[None]
    positions = torch.arange(5, 10)
    said = said_at(model, {"input_ids": ids}, positions, way)
    assert torch.allclose(model.lm_head(said), model(input_ids=ids).logits[:, 5:10], atol=1e-5)
    assert "forward" not in vars(model.lm_head)


def test_a_head_in_float16s_own_way_gives_logits() -> None:
    model = network(GlmForCausalLM, GlmConfig)
    other = copy.deepcopy(model)
    other.lm_head.forward = other.lm_head.forward
    assert Way.of(model).head is not None
    assert Way.of(other).head is None
