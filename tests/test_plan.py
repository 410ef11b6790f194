"""What a plan says is what a run then does: counted on true tensors, and by true parameters."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GlmConfig, GlmForCausalLM

from tests.conftest import Configure
from tests.methods.cells import GOLDEN, base_of
from tuneglm.cli import main
from tuneglm.config import load_config
from tuneglm.data.batches import batches
from tuneglm.data.encoded import Encoded
from tuneglm.data_config import DataConfig
from tuneglm.errors import ConfigError, ModelError, UserError
from tuneglm.methods import METHODS, tune
from tuneglm.models import family_of
from tuneglm.models.loading import load_model
from tuneglm.plan import ledger as ledger_module
from tuneglm.plan import planning as plan_module
from tuneglm.plan.batch_shape import Batch, assumed_batch, largest_batch
from tuneglm.plan.capacity import GIB, MIB, size_of
from tuneglm.plan.divided import divided, sharing_planned
from tuneglm.plan.ledger import Ledger
from tuneglm.plan.planned_step import step_of
from tuneglm.plan.planning import MOST_ROWS, TOLERANCE, check_memory, plan
from tuneglm.plan.records import Plan, memory_of
from tuneglm.plan.step import Step
from tuneglm.plan.step_memory import StepMemory, _run, step_memory
from tuneglm.reports.plan import plan_json
from tuneglm.stages import head_blocks
from tuneglm.stages.arguments import training_arguments
from tuneglm.stages.question import Question
from tuneglm.stages.sft import Way, summed_loss
from tuneglm.training import train

SIZES = {"hidden_size": 64, "intermediate_size": 128, "vocab_size": 512}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
FLOAT32 = ("model.dtype=float32", "training.bf16=false")


def only_config(folder: Path, layers: int = 3, **sizes: int) -> Path:
    """A model of which nothing but config.json is there."""
    settings = {**SIZES, **HEADS, "num_hidden_layers": layers, "pad_token_id": 0, **sizes}
    GlmConfig(**settings, attention_bias=True).save_pretrained(folder)  # type: ignore[arg-type]
    return folder


def step(folder: Path, *overrides: str, batch: Batch | None = None) -> Step:
    settings = (f"model.path={folder}", "training.output_dir=out", *overrides)
    config = load_config(None, settings)
    family = family_of(folder)
    arguments = training_arguments(config, evaluates=False, rows=None)
    made = step_of(config, folder, family, arguments, None, torch.device("cpu"))
    return made if batch is None else replace(made, batch=batch)


def truly(
    folder: Path, method: str, batch: Batch, *settings: str, checkpointing: bool = False
) -> Ledger:
    """The ledger of a true step on true tensors."""
    config = load_config(None, [f"model.path={folder}", f"method={method}", *settings])
    family = family_of(folder)
    model: Any = GlmForCausalLM(GlmConfig.from_pretrained(folder))
    if checkpointing:
        model.enable_input_require_grads()
    tuned = tune(model, config.method, family).model.train()
    if checkpointing:
        tuned.gradient_checkpointing_enable()
    ledger = Ledger(SIZES["vocab_size"])
    with ledger:
        ledger.hold(tuned.buffers(), "weights")
        for weight in tuned.parameters():
            ledger.hold([weight], "trained" if weight.requires_grad else "weights")
        ids = torch.randint(5, 500, (batch.rows, batch.length))
        trained = torch.arange(batch.trained)
        targets = torch.randint(5, 500, (batch.rows, batch.trained))
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        ledger.phase = "step"
        question = Question(targets, whole=True)
        (summed_loss(tuned, inputs, trained, question, Way.of(model)) / 1000).backward()
    return ledger


@pytest.mark.parametrize("method", ["lora", "full", "freeze"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_step_holds_what_a_true_one_holds(
    tmp_path: Path, method: str, checkpointing: bool
) -> None:
    batch = Batch(1, 96, 40)
    folder = only_config(tmp_path)
    true = truly(folder, method, batch, checkpointing=checkpointing).peaks["step"].total
    settings = [f"training.gradient_checkpointing={str(checkpointing).lower()}"]
    planned = step_memory(step(folder, f"method={method}", *FLOAT32, *settings, batch=batch))
    beside = planned.fullest.parts["optimizer"]
    assert planned.fullest.total - beside == pytest.approx(true, rel=0.01)


def test_rows_of_tokens_are_planned_as_they_are_trained(tmp_path: Path) -> None:
    """The head's too, whose logits and weight are then made as a whole."""
    batch, tokens = Batch(1, 96, 40), "method.tokens=[7,300]"
    folder = only_config(tmp_path)
    true = truly(folder, "lora", batch, tokens).peaks["step"].total
    planned = step_memory(step(folder, "method=lora", tokens, *FLOAT32, batch=batch))
    plain = step_memory(step(folder, "method=lora", *FLOAT32, batch=batch)).fullest
    beside = planned.fullest.parts["optimizer"]
    assert planned.fullest.total - beside == pytest.approx(true, rel=0.01)
    rows = 2 * 2 * SIZES["hidden_size"] * 4
    assert planned.fullest.parts["trained"] == plain.parts["trained"] + rows


def test_the_distance_from_the_base_takes_a_block_of_logits_twice(tmp_path: Path) -> None:
    folder, batch = only_config(tmp_path, vocab_size=20_000), Batch(2, 96, 40)
    replay = "data.train=[{path: my.json, replay: true}]"
    plain, held = (
        step_memory(step(folder, *FLOAT32, replay, f"stage.kl={kl}", batch=batch)) for kl in (0, 1)
    )
    more = held.fullest.total - plain.fullest.total
    assert held.operations > 1.2 * plain.operations
    assert 0.9 * head_blocks.BLOCK_BYTES <= more < 5 * head_blocks.BLOCK_BYTES


def test_what_autograd_saves_is_counted(tmp_path: Path) -> None:
    """After the way forward: all that the hooks on saved tensors see, and nothing but it."""
    folder = only_config(tmp_path)
    model = GlmForCausalLM(GlmConfig.from_pretrained(folder)).train()
    own = {each.untyped_storage()._cdata for each in (*model.parameters(), *model.buffers())}
    saved: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor
        return tensor

    ledger = Ledger(SIZES["vocab_size"])
    with ledger:
        ledger.hold(model.parameters(), "trained")
        ledger.hold(model.buffers(), "weights")
        ids = torch.randint(5, 500, (2, 64))
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = model(ids, use_cache=False).logits.sum()
        ledger.hold([ids, loss], "weights")
        kept = ledger.live("activations") + ledger.live("logits")
    sizes = [each.untyped_storage().nbytes() for key, each in saved.items() if key not in own]
    assert kept == pytest.approx(sum(sizes), rel=0.01)


@pytest.mark.parametrize("method", ["lora", "full", "freeze", "p_tuning", "prompt"])
def test_weights_are_those_of_the_model(tmp_path: Path, method: str) -> None:
    folder = only_config(tmp_path, layers=9)
    made = step(folder, f"method={method}", *FLOAT32, batch=Batch(1, 32, 8))
    config: Any = made.config
    model: Any = GlmForCausalLM(GlmConfig.from_pretrained(folder))
    base = sum(weight.numel() for weight in model.parameters())
    tuned = METHODS[method].apply(model, config.method, made.family).model
    trained = sum(weight.numel() for weight in tuned.parameters() if weight.requires_grad)
    frozen = 0 if method == "full" else base - (trained if method == "freeze" else 0)
    parts = step_memory(made).fullest.parts
    assert parts["trained"] == trained * 4
    assert parts["weights"] == pytest.approx(frozen * 4, abs=1000)
    assert parts["optimizer"] == pytest.approx(trained * 8, abs=100)


@pytest.mark.parametrize("method", ["lora", "full", "freeze", "p_tuning", "prompt"])
def test_layers_that_are_alike_need_not_all_be_run(tmp_path: Path, method: str) -> None:
    made = step(only_config(tmp_path, layers=7), f"method={method}", batch=Batch(2, 48, 20))
    short, whole = step_memory(made), _run(made, None)
    assert short.fullest.total == pytest.approx(whole.fullest.total, rel=1e-6)
    assert short.operations == pytest.approx(whole.operations, rel=1e-6)


@pytest.mark.parametrize("bits", [8, 4])
def test_bits_weigh_what_bitsandbytes_makes_of_the_weights(tmp_path: Path, bits: Any) -> None:
    pytest.importorskip("bitsandbytes")
    folder = base_of("native", tmp_path)
    model: Any = load_model(folder, dtype="float32", bits=bits, device="cpu")
    true = sum(each.nbytes for each in model.parameters())
    planned = step_memory(
        step(folder, "method=p_tuning", f"model.bits={bits}", *FLOAT32, batch=Batch(1, 16, 4))
    ).fullest.parts
    assert planned["weights"] == pytest.approx(true, rel=0.01)
    assert planned["quantization"] > 0


@pytest.mark.parametrize("family", ["v1", "v2", "v3", "glm4"])
@pytest.mark.parametrize("batching", ["padded", "packed"])
def test_every_family_is_planned(family: str, batching: str) -> None:
    folder = GOLDEN / family / "base"
    for method in METHODS:
        made = step(folder, f"method={method}", f"data.batching={batching}", "data.cutoff=48")
        assert memory_of(made, step_memory(made)).parts["activations"] > 0


def test_packed_checkpoints_stay_packed() -> None:
    whole, packed = (GOLDEN / "v2" / name for name in ("base", "int4"))
    sizes = [step_memory(step(each, "data.cutoff=32")).fullest.parts for each in (whole, packed)]
    assert sizes[1]["weights"] < sizes[0]["weights"]


def test_gradients_of_accumulated_batches_lie_beside_the_next(tmp_path: Path) -> None:
    folder, batch = only_config(tmp_path), Batch(1, 96, 40)
    once = step_memory(step(folder, "method=full", batch=batch))
    several = step_memory(
        step(folder, "method=full", "training.gradient_accumulation_steps=4", batch=batch)
    )
    assert several.fullest.total - once.fullest.total > 0.5 * once.fullest.parts["trained"]


def row(length: int, trained: int) -> Encoded:
    ids = list(range(5, 5 + length))
    labels = [-100] * (length - trained) + ids[length - trained :]
    return Encoded(ids, labels, [False] * length)


def test_the_largest_batch_has_the_longest_row() -> None:
    rows = [row(10, 4)] * 20 + [row(40, 6)]
    made = largest_batch(DataConfig(batching="padded"), rows, 3)
    assert (made.rows, made.length, made.padded) == (3, 40, True)
    # the last 6 positions of the longest, the last 4 of the others: no position is both's
    assert made.trained == 10
    unpadded = largest_batch(DataConfig(), rows, 3)
    assert (unpadded.packed[0], unpadded.size, unpadded.padded) == (40, 3, False)
    assert unpadded.trained == 6 + sum(6 if length == 40 else 4 for length in unpadded.packed[1:])


def test_a_portion_is_the_fullest_of_its_batch() -> None:
    unpadded = Batch(1, 90, 30, (40, 30, 20))
    assert unpadded.portion(60) == Batch(1, 60, 20, (40, 20))
    assert unpadded.portion(8).packed == (40,)
    assert unpadded.portion(100) == unpadded
    padded = Batch(5, 40, 39, padded=True)
    assert padded.portion(100).rows == 2
    assert padded.portion(8).rows == 1


@pytest.mark.parametrize(("size", "lengths"), [(1, (40,)), (3, (40, 20, 40)), (4, (40, 20) * 2)])
def test_unpadded_rows_are_resized_in_rows(size: int, lengths: tuple[int, ...]) -> None:
    assert Batch(1, 60, 30, (40, 20)).resized(size).packed == lengths


def test_packs_are_counted_by_their_tokens() -> None:
    config = DataConfig(batching="packed", cutoff=32)
    made = largest_batch(config, batches(config, [row(10, 4)] * 7, None).train, 1)
    assert (made.rows, made.length, made.trained) == (1, 30, 12)
    assert made.packed == (10, 10, 10)


def test_without_rows_each_is_as_long_as_it_may_be() -> None:
    padded = DataConfig(cutoff=64, batching="padded")
    assert assumed_batch(padded, 4) == Batch(4, 64, 63, padded=True, assumed=True)
    assert assumed_batch(DataConfig(cutoff=64), 4).packed == (64,) * 4
    tokens = DataConfig(cutoff=64, tokens_per_batch=200)
    assert assumed_batch(tokens, 1).rows == 3
    packed = DataConfig(cutoff=64, batching="packed", tokens_per_batch=200)
    assert assumed_batch(packed, 1).packed == (64, 64, 64, 8)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure for a moment only, choose among two methods, in a process of a known size."""
    monkeypatch.setattr("tuneglm.plan.capacity.SECONDS_A_RATE", 0.01)
    monkeypatch.setattr("tuneglm.plan.records.resident", lambda: 300 * MIB)
    few = {name: METHODS[name] for name in ("lora", "full")}
    monkeypatch.setattr("tuneglm.plan.planned_step.METHODS", few)


@pytest.mark.usefixtures("quick")
def test_a_plan_has_its_parts_its_time_and_its_choices(tmp_path: Path) -> None:
    config = load_config(None, [f"model.path={only_config(tmp_path)}", "data.cutoff=64"])
    planned = json.loads(plan_json(plan(config)))
    assert planned["peak"] == sum(planned["parts"].values())
    assert planned["fits"] and planned["seconds_per_step"] > 0
    assert planned["largest_batch"] > 8
    assert {choice["method"] for choice in planned["choices"]} == {"lora", "full"}
    assert [choice["cheapest"] for choice in planned["choices"]].count(True) == 1


@pytest.mark.usefixtures("quick")
def test_the_largest_batch_fits_and_a_larger_one_does_not(tmp_path: Path) -> None:
    folder = only_config(tmp_path, hidden_size=256, vocab_size=4096)
    settings = [f"model.path={folder}", "data.cutoff=256", "training.bf16=false"]
    # padded rows go through the network at once, packed ones through its attention one by one
    settings += ["data.batching=padded", "data.tokens_at_once=1000000"]
    limit = GIB
    planned = plan(load_config(None, settings), memory=limit, device="cuda")

    def peak(rows: int) -> int:
        more = [*settings, f"training.per_device_train_batch_size={rows}"]
        made = plan(load_config(None, more), memory=limit, device="cuda", choices=False)
        return made.memory.peak

    assert planned.largest
    assert peak(planned.largest) <= limit
    assert plan(load_config(None, settings[:-1]), memory=limit, device="cuda").largest == MOST_ROWS
    assert peak(planned.largest + max(1, planned.largest // 20)) > limit


def test_heads_that_share_keys_are_counted_as_those_that_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """torch's own formula knows such heads in some releases, and stops at them in others."""

    def strict(query: torch.Size, key: torch.Size, value: torch.Size) -> int:
        assert query[:2] == key[:2] == value[:2]
        return 2 * query.numel() * key[2] + 2 * query[:3].numel() * value[2:].numel()

    def strict_back(gradient: torch.Size, query: torch.Size, *others: torch.Size) -> int:
        return 2 * strict(query, *others)

    monkeypatch.setattr(ledger_module, "sdpa_flop_count", strict)
    monkeypatch.setattr(ledger_module, "sdpa_backward_flop_count", strict_back)
    counted = []
    for heads in (1, 4):
        query = torch.randn(1, 4, 6, 8, requires_grad=True)
        keys = torch.randn(1, heads, 6, 8)
        ledger = Ledger(512)
        with ledger:
            attend = torch.nn.functional.scaled_dot_product_attention
            attend(query, keys, keys, is_causal=True, enable_gqa=True).sum().backward()
        counted.append(ledger.operations)
    assert counted[0] == counted[1] > 0


def test_another_card_is_planned_for_without_one(tmp_path: Path) -> None:
    config = load_config(None, [f"model.path={only_config(tmp_path)}", "data.cutoff=64"])
    planned = plan(config, memory=8 * GIB, choices=False)
    assert (planned.device, planned.limit) == ("cuda", 8 * GIB)
    assert (planned.seconds is None) == (not torch.cuda.is_available())
    assert planned.memory.parts["process"] == GIB // 2


@pytest.mark.parametrize(
    ("text", "size"), [("8GB", 8 * GIB), ("1.5 GiB", 3 * GIB // 2), ("500m", 500 * MIB)]
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert size_of(text) == size


def test_a_size_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="`much` is no size"):
        size_of("much")


@pytest.mark.usefixtures("quick")
def test_what_cannot_fit_is_refused_and_something_that_fits_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = only_config(tmp_path)
    big = step(folder, "method=full", *FLOAT32, batch=Batch(1, 16_384, 255))
    saving = step(
        folder, "method=full", *FLOAT32, "training.gradient_checkpointing=true", batch=big.batch
    )
    needed, enough = (memory_of(each, step_memory(each)).peak for each in (big, saving))
    assert enough < needed / TOLERANCE
    monkeypatch.setattr(plan_module, "device_memory", lambda _: enough)
    with pytest.raises(ConfigError) as error:
        check_memory(big)
    assert "method=full training.gradient_checkpointing=true needs" in str(error.value)
    assert "memory_check=warn" in str(error.value)
    warned = replace(big, config=big.config.model_copy(update={"memory_check": "warn"}))
    foreseen = check_memory(warned)
    assert foreseen is not None and foreseen.words.endswith("more than there is")
    asked_not = replace(big, config=big.config.model_copy(update={"memory_check": "off"}))
    assert check_memory(asked_not) is None


@pytest.mark.usefixtures("quick")
def test_a_batch_that_does_not_fit_is_run_in_smaller_portions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = only_config(tmp_path)
    big = step(folder, *FLOAT32, batch=Batch(1, 32 * 32, 32 * 16, (32,) * 32))
    usual, least = (
        memory_of(each, step_memory(each)).peak for each in (big, replace(big, at_once=32))
    )
    assert least < usual
    monkeypatch.setattr(plan_module, "device_memory", lambda _: least)
    foreseen = check_memory(big)
    assert foreseen is not None
    assert (foreseen.peak, foreseen.at_once) == (least, 32)
    assert foreseen.words.endswith("; in portions of 32 tokens, to fit")


def test_of_a_model_on_a_hub_only_its_config_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    folder = only_config(tmp_path)

    def fetch(name: str, hub: str, patterns: Any, **_: Any) -> Path:
        asked.append((name, tuple(patterns)))
        return folder

    monkeypatch.setattr("tuneglm.models.loading.fetch", fetch)
    config = load_config(None, ["model.path=owner/name", "data.cutoff=64"])
    planned: Plan = plan(config, memory=8 * GIB, choices=False)
    assert planned.fits
    assert asked == [("owner/name", ("config.json",))]


def test_a_plan_refuses_what_training_refuses(tmp_path: Path) -> None:
    config = load_config(None, [f"model.path={only_config(tmp_path)}", "method.rank=8"])
    wrong = config.model_copy(
        update={"method": config.method.model_copy(update={"targets": ("no_such",)})}
    )
    with pytest.raises(UserError, match="no_such"):
        plan(wrong, choices=False)


@pytest.mark.usefixtures("quick")
def test_the_command_prints_a_table_or_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"model.path={only_config(tmp_path)}", "data.cutoff=32", "data.batching=padded"]
    for words in (["plan", *settings, "--json"], ["plan", *settings, "--memory", "8GB"]):
        with pytest.raises(SystemExit) as left:
            main(words)
        assert left.value.code == 0
    as_json, table = capsys.readouterr().out.split("\n}\n")
    assert json.loads(as_json + "}")["peak"] > 0
    assert "of 8.00 GiB on cuda: fits" in table
    assert "→ the quickest of method=lora that fits: method=lora" in table


def test_training_says_first_what_it_will_take(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(configure(tmp_path / "out", "training.max_steps=1", "memory_check=refuse"))
    lines = capsys.readouterr().out.splitlines()
    foretold, model = (
        next(i for i, line in enumerate(lines) if line.startswith(word))
        for word in ("Memory", "Model")
    )
    assert re.fullmatch(r"Memory   about [\d.]+ of [\d.]+ GiB", lines[foretold])
    assert foretold < model


@pytest.mark.parametrize(
    ("stage", "divides"),
    [
        (1, {"optimizer"}),
        (2, {"optimizer", "gradients"}),
        (3, {"optimizer", "gradients", "trained"}),
    ],
)
def test_what_is_divided_among_processes(tmp_path: Path, stage: int, divides: set[str]) -> None:
    made = step(only_config(tmp_path), "method=full", *FLOAT32, batch=Batch(1, 96, 40))
    whole = dict.fromkeys(("optimizer", "gradients", "trained", "activations"), 64.0)
    training = {"deepspeed": {"zero_optimization": {"stage": stage}}}
    shared = divided(whole, made, sharing_planned(training, 4))
    for part in ("optimizer", "gradients", "trained"):
        assert shared[part] == pytest.approx(whole[part] / (4 if part in divides else 1))
    assert shared["activations"] == whole["activations"]


def test_of_a_model_divided_among_many_little_but_the_batch_is_left(tmp_path: Path) -> None:
    """Not its optimizer states under another name, nor what these make in passing."""
    folder = only_config(tmp_path, hidden_size=256, vocab_size=4096)
    made = step(folder, "method=full", *FLOAT32, batch=Batch(1, 16, 4))
    traced = step_memory(made)
    many = replace(made, sharing=sharing_planned({"fsdp": True}, 1000))
    parts = memory_of(many, traced).parts
    whole = traced.fullest.parts["trained"]
    assert parts["activations"] + parts["logits"] < 0.5 * whole
    assert parts["trained"] + parts["gradients"] + parts["optimizer"] < 0.01 * whole


def test_the_layer_at_work_is_gathered_beside_the_parts(tmp_path: Path) -> None:
    folder = only_config(tmp_path)
    made = step(folder, "method=full", *FLOAT32, batch=Batch(1, 96, 40))
    fsdp = sharing_planned({"fsdp": True}, 4)
    assert fsdp.kind == "fsdp" and sharing_planned({"fsdp": True}, 1).kind == "copies"
    embeddings = SIZES["vocab_size"] * SIZES["hidden_size"]
    model = GlmForCausalLM(GlmConfig.from_pretrained(folder))
    layer = sum(each.numel() for each in model.model.layers[0].parameters())
    shared = divided(
        {"weights": 0.0, "trained": 0, "quantization": 0, "gradients": 0, "optimizer": 0},
        made,
        fsdp,
    )
    assert shared["gathered"] == 2 * 4 * max(layer, embeddings)


def test_a_plan_of_many_processes_needs_neither_library(tmp_path: Path) -> None:
    zero3 = Path(__file__).parents[1] / "configs" / "accelerate" / "zero3.json"
    peaks = [
        plan(
            load_config(
                None,
                [
                    f"model.path={only_config(tmp_path)}",
                    "data.cutoff=64",
                    "method=full",
                    f"training.deepspeed={zero3}",
                ],
            ),
            memory=8 * GIB,
            processes=processes,
            choices=False,
        ).memory.parts["optimizer"]
        for processes in (1, 8)
    ]
    assert peaks[0] == pytest.approx(8 * peaks[1], rel=0.01)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("bits", [8, 4])
def test_a_run_in_bits_that_is_evaluated(tmp_path: Path, bits: int) -> None:
    """In 8 bits an evaluation looks for outliers in its data: there is none to be looked at."""
    pytest.importorskip("bitsandbytes")
    settings = [f"model.path={only_config(tmp_path)}", f"model.bits={bits}", "data.cutoff=64"]
    whole = plan(load_config(None, settings), choices=False).memory
    evaluated = plan(
        load_config(None, [*settings, "data.evaluation_share=0.1"]), choices=False
    ).memory
    assert 0.9 * whole.peak < evaluated.peak < 1.2 * whole.peak


@pytest.mark.usefixtures("quick")
def test_a_choice_of_which_nobody_can_tell_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def traced(step: Step) -> StepMemory:
        if step.config.method.name == "p_tuning":
            raise ModelError("It cannot be told.", "")
        return step_memory(step)

    monkeypatch.setattr(plan_module, "kept_or_traced", traced)
    settings = [f"model.path={only_config(tmp_path)}", "data.cutoff=64"]
    methods = {choice.method for choice in plan(load_config(None, settings)).choices}
    assert "lora" in methods and "p_tuning" not in methods
