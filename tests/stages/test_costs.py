"""What a step computes and holds, counted and not timed: a fast path that is lost is seen here.

On a small model, true tensors, float32; the plain way is transformers with peft.
"""

from typing import Any

import peft
import pytest
import torch
from torch.nn import functional
from transformers import GlmConfig, GlmForCausalLM

from tuneglm.method_config import FreezeConfig, FullConfig, LoraConfig, PTuningConfig
from tuneglm.methods import tune
from tuneglm.models import FAMILIES, products
from tuneglm.models.attention import keep_rows_apart
from tuneglm.plan.ledger import Ledger
from tuneglm.stages import head_blocks, head_chunks
from tuneglm.stages.question import Question
from tuneglm.stages.sft import Way, summed_loss

VOCABULARY, HIDDEN, LAYERS, HEADS, INNER = 2048, 64, 3, 4, 192
ROWS, LENGTH = 4, 40
TRAINED = 20  # the last of each row
TOKENS = ROWS * LENGTH


def network(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return GlmForCausalLM(
        GlmConfig(
            vocab_size=VOCABULARY,
            hidden_size=HIDDEN,
            intermediate_size=INNER,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=2,
            head_dim=HIDDEN // HEADS,
            pad_token_id=0,
            attention_bias=True,
        )
    )


def counted(model: Any, run: Any, half: bool = False) -> Ledger:
    """The ledger of one step, float32 or autocast to bfloat16."""
    ledger = Ledger(VOCABULARY)
    with ledger:
        ledger.hold(model.parameters(), "weights")
        ledger.phase = "step"
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = run()
        loss.backward()
    return ledger


def ours(method: Any, half: bool = False) -> Ledger:
    """Rows one after another, the head's loss in chunks, layers as `fast` has them."""
    base = network()
    keep_rows_apart(base)
    model = tune(base, method, FAMILIES["native"]).model.train()
    ids = torch.randint(1, VOCABULARY, (1, TOKENS))
    lengths = torch.tensor([[LENGTH] * ROWS])
    places = [row * LENGTH + LENGTH - 1 - back for row in range(ROWS) for back in range(TRAINED)]
    positions = torch.tensor(sorted(places)) - 1
    question = Question(ids[:, positions + 1], whole=True)
    inputs = {"input_ids": ids, "row_lengths": lengths}
    way = Way.of(base)
    return counted(model, lambda: summed_loss(model, inputs, positions, question, way), half)


def plain() -> Ledger:
    """The same rows by transformers and peft: as long as each other, so nothing is padded."""
    config = peft.LoraConfig(r=8, target_modules=["q_proj", "k_proj", "v_proj"])
    model: Any = peft.get_peft_model(network(), config).train()
    ids = torch.randint(1, VOCABULARY, (ROWS, LENGTH))

    def run() -> torch.Tensor:
        logits = model(input_ids=ids).logits[:, :-1].float()
        return functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())

    return counted(model, run)


@pytest.fixture(autouse=True)
def one_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine would choose; chunks of twenty positions, blocks of 512 words."""
    monkeypatch.setattr(products, "by_onednn", torch.backends.mkldnn.is_available)
    monkeypatch.setitem(head_chunks.CHUNK_BYTES, "cpu", 20 * VOCABULARY * 4)
    monkeypatch.setattr(head_blocks, "BLOCK_BYTES", 20 * VOCABULARY * 4)


def products_of_a_layer() -> int:
    """Multiplications and additions of one token in one layer's linear maps."""
    attention = HIDDEN * HIDDEN * 2 + 2 * HIDDEN * HIDDEN // 2
    return 2 * (attention + 3 * HIDDEN * INNER)


def test_adapters_cost_two_passes_through_frozen_weights_and_the_head_where_it_is_trained() -> None:
    passes = 2 * LAYERS * products_of_a_layer() * TOKENS
    head = 2 * 2 * HIDDEN * VOCABULARY * ROWS * TRAINED
    operations = ours(LoraConfig()).operations
    # beside them attention and the adapters' own
    assert passes + head <= operations < 1.25 * (passes + head)
    assert operations < 0.8 * plain().operations


@pytest.mark.parametrize("half", [False, True])
def test_of_a_frozen_head_logits_are_never_as_wide_as_the_vocabulary(half: bool) -> None:
    parts = ours(LoraConfig(), half).peaks["step"].parts
    assert not parts.get("logits")
    assert plain().peaks["step"].parts["logits"] > 8 * 20 * VOCABULARY * 4


def test_a_layer_keeps_little_for_the_way_back() -> None:
    """Of each token: six states of the hidden size, keys and values, and the MLP's two inner."""
    peak = ours(LoraConfig()).peaks["step"].parts
    kept = LAYERS * TOKENS * 4 * (6 * HIDDEN + 2 * HIDDEN // 2 + 2 * INNER)
    assert peak["activations"] < 1.35 * kept
    usual = plain().peaks["step"].parts
    assert peak["activations"] + peak.get("logits", 0) < 0.5 * (
        usual["activations"] + usual["logits"]
    )


def test_norms_gates_and_adapters_read_and_write_little_memory() -> None:
    """Bytes that all but products move: any of the three, computed as it came, is seen here."""
    assert ours(LoraConfig()).moved < 0.57 * plain().moved


def test_below_the_lowest_trained_layer_nothing_is_kept_and_nothing_goes_back() -> None:
    operations = ours(FreezeConfig(layers=1)).operations
    forward = LAYERS * products_of_a_layer() * TOKENS
    # back through one MLP and its weights, and the head
    assert operations < 1.25 * (
        forward + 2 * 2 * 3 * HIDDEN * INNER * TOKENS + 4 * HIDDEN * VOCABULARY * ROWS * TRAINED
    )


def test_full_tuning_takes_three_passes() -> None:
    passes = 3 * LAYERS * products_of_a_layer() * TOKENS
    head = 3 * 2 * HIDDEN * VOCABULARY * ROWS * TRAINED
    full = ours(FullConfig())
    assert full.operations < 1.15 * (passes + head)
    # a trained head makes logits of a chunk of positions at a time, in a few forms at once
    chunk = 20 * VOCABULARY * 4
    assert 0 < full.peaks["step"].parts["logits"] <= 4 * chunk


@pytest.mark.parametrize("faster", [True, False])
def test_large_products_all_go_to_the_faster_library(
    faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if faster and not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(products, "by_onednn", lambda: faster)
    counted, own = [], products._multiplied

    def multiplied(*tensors: Any) -> torch.Tensor:
        counted.append(tensors)
        return own(*tensors)

    monkeypatch.setattr(products, "_multiplied", multiplied)
    ours(LoraConfig())
    # q, k, v, o and the MLP's two there and back, but for the first layer's q, k, v; the head
    # both ways for each block of words
    layers, blocks = 2 * 6 * LAYERS - 3, 2 * VOCABULARY // 512
    assert len(counted) == (layers + blocks if faster else 0)


def test_a_prefix_keeps_no_more_for_the_way_back_than_adapters() -> None:
    prefix = ours(PTuningConfig(length=8)).peaks["step"].parts
    adapters = ours(LoraConfig()).peaks["step"].parts
    assert prefix["activations"] < 1.1 * adapters["activations"]
