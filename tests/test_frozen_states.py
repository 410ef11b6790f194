"""Frozen layers computed once: the same losses and weights as where each step computes them."""

import json
import resource
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, Trainer

from tests.conftest import Configure
from tests.matrix.bases import base_of
from tests.test_training import unfinished
from tuneglm import frozen_states
from tuneglm.checkpoints import STATES
from tuneglm.config import RunConfig
from tuneglm.data.encoded import MixedRows
from tuneglm.frozen_states import Work, epochs_of
from tuneglm.manifest import UNFINISHED
from tuneglm.models import FAMILIES
from tuneglm.models.frozen import draws_numbers, frozen_below, handing_on, states_below
from tuneglm.models.skeleton import layers_of
from tuneglm.packages import missing
from tuneglm.plan.capacity import forget_peak, peak_memory
from tuneglm.stages import making_states
from tuneglm.stages.kept_states import STATES_FILE, About, KeptStates, is_kept
from tuneglm.stages.making_states import groups_of
from tuneglm.training import train

FREEZE = (
    *("method=freeze", "method.layers=1", "training.max_steps=-1", "training.num_train_epochs=3"),
    "training.per_device_train_batch_size=4",
    *("training.learning_rate=0.001", "training.optim=sgd", "training.lr_scheduler_type=constant"),
)
ADAPTER = "adapter_model.safetensors"
KEPT = "frozen layers, computed once"


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bases")


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small models have a large head: nothing much is saved."""
    monkeypatch.setattr(frozen_states, "WORTH_IT", 0.0)


def lines_of(folder: Path, key: str) -> list[float]:
    entries = map(json.loads, (folder / "log.jsonl").read_text("utf-8").splitlines())
    return [entry[key] for entry in entries if key in entry]


def run_both(
    configure: Configure, folder: Path, capsys: pytest.CaptureFixture[str], *settings: str
) -> tuple[Path, Path]:
    """A run with the states kept, and the same one without."""
    capsys.readouterr()
    kept = train(configure(folder / "kept", *FREEZE, *settings)).folder
    assert KEPT in capsys.readouterr().out
    plain = train(configure(folder / "plain", *FREEZE, *settings, "method.frozen_states=off"))
    assert KEPT not in capsys.readouterr().out
    return kept, plain.folder


def check_equal(kept: Path, plain: Path, close: float = 1e-5) -> None:
    """Losses and weights are the same, and nothing of the states is left."""
    losses = lines_of(plain, "loss")
    assert len(losses) >= 6 and max(losses) > min(losses)
    assert lines_of(kept, "loss") == pytest.approx(losses, rel=close)
    for name, weight in load_file(plain / ADAPTER).items():
        difference = load_file(kept / ADAPTER)[name] - weight
        assert difference.norm() <= close * weight.norm(), name
    assert not (kept / STATES).exists() and not (kept / UNFINISHED).exists()


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("batching", ["padded", "packed"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns_the_same(
    family: str,
    batching: str,
    configure: Configure,
    tmp_path: Path,
    bases: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = base_of(family, "whole", bases)
    packs = ("data.cutoff=128", "training.per_device_train_batch_size=1")
    settings = (*packs, "data.tokens_per_batch=128") if batching == "packed" else ()
    check_equal(
        *run_both(
            configure,
            tmp_path,
            capsys,
            f"model.path={path}",
            f"model.family={family}",
            f"data.batching={batching}",
            *settings,
        )
    )


MANNERS = {
    "rows as they come, in portions": ("data.tokens_at_once=40",),
    "of like length": ("data.batching=length_grouped",),
    "rectangles": ("data.batching=padded", "data.tokens_per_batch=128", "data.cutoff=128"),
    "some rows several times": (
        "data.train=[{path: ROWS, repeats: 2}, {path: ROWS, max_rows: 3}]",
    ),
    "accumulated": (
        "training.gradient_accumulation_steps=2",
        "training.per_device_train_batch_size=1",
    ),
    "evaluated between": ("data.evaluation_rows=2", "training.eval_steps=3"),
    "checkpointed": ("training.gradient_checkpointing=true",),
    "checkpointed as it was once": (
        "training.gradient_checkpointing=true",
        "training.gradient_checkpointing_kwargs={use_reentrant: true}",
    ),
    "the head, too": ("method.head=true",),
    "all of two layers": ("method.layers=2", "method.modules=all"),
}


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("manner", MANNERS)
def test_in_every_manner(
    manner: str,
    configure: Configure,
    tmp_path: Path,
    rows_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = [each.replace("ROWS", str(rows_file)) for each in MANNERS[manner]]
    batch = () if "rectangles" not in manner else ("training.per_device_train_batch_size=1",)
    kept, plain = run_both(configure, tmp_path, capsys, *settings, *batch)
    check_equal(kept, plain)
    assert lines_of(kept, "eval_loss") == pytest.approx(lines_of(plain, "eval_loss"), rel=1e-5)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("bits", ["8", "4", "int8", "int4"])
def test_on_weights_in_bits(
    bits: str,
    configure: Configure,
    tmp_path: Path,
    bases: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if bits in ("8", "4") and missing("quant"):
        pytest.skip("bitsandbytes is not here")
    form = bits if bits.startswith("int") else "whole"
    settings = [f"model.path={base_of('chatglm3', form, bases)}"]
    settings += [] if bits.startswith("int") else [f"model.bits={bits}"]
    # in 8 bits it depends on the whole batch which columns are left out of them
    close = 3e-2 if bits == "8" else 1e-4
    check_equal(*run_both(configure, tmp_path, capsys, *settings), close)


HALVES = (("float32", "bf16"), ("bfloat16", "bf16"), ("float16", "fp16"))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(("dtype", "computed"), HALVES)
def test_in_halves(
    dtype: str,
    computed: str,
    configure: Configure,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Within what rounding differs by where other rows are computed together."""
    settings = (f"model.dtype={dtype}", f"training.{computed}=true")
    check_equal(*run_both(configure, tmp_path, capsys, *settings), close=1e-2)


@pytest.mark.usefixtures("always")
def test_other_states_are_another_run(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the tests of equality compare does depend on what the file holds, and on its order."""
    plain = train(configure(tmp_path / "plain", *FREEZE, "method.frozen_states=off")).folder
    whole = KeptStates.at
    monkeypatch.setattr(KeptStates, "at", lambda self, places: whole(self, places + 1))
    monkeypatch.setattr(About, "size", property(lambda _: 0))
    with pytest.raises(IndexError):
        train(configure(tmp_path / "beyond", *FREEZE))
    monkeypatch.setattr(
        KeptStates, "at", lambda self, places: whole(self, (places + 1) % self.about.tokens)
    )
    shifted = train(configure(tmp_path / "shifted", *FREEZE)).folder
    assert lines_of(shifted, "loss") != pytest.approx(lines_of(plain, "loss"), rel=1e-3)


# ---- runs that are stopped


def copied(folder: Path, copy: Path, keep: str) -> None:
    unfinished(folder, copy, keep)
    run = copy / "run.yaml"
    run.write_text(run.read_text("utf-8").replace(str(folder), str(copy)), "utf-8")


def test_what_goes_on_ends_with_the_same_bits(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (*FREEZE, "training.optim=adamw_torch", "training.save_steps=3")
    settings = (*settings, "training.save_total_limit=9")
    monkeypatch.setattr("tuneglm.training.forget_frozen_states", lambda *_: None)
    whole = train(configure(tmp_path / "whole", *settings)).folder
    written: list[Path] = []
    make = making_states.write_states

    def watched(trainer: Any, once: Any, about: Any, place: Path, tell: Any) -> Any:
        written.append(place)
        return make(trainer, once, about, place, tell)

    monkeypatch.setattr(frozen_states, "write_states", watched)
    for name, harm in HARMS.items():
        again = tmp_path / name
        copied(whole, again, keep="checkpoint-6")
        is_made = harm(again)
        assert train(configure(again, *settings)).finished
        assert (again / ADAPTER).read_bytes() == (whole / ADAPTER).read_bytes(), name
        assert lines_of(again, "loss") == lines_of(whole, "loss"), name
        assert written == ([again / STATES] if is_made else []), name
        states = [(each / STATES / STATES_FILE).read_bytes() for each in (again, whole)]
        assert states[0] == states[1], name
        written.clear()
    # nothing is left to train
    over = tmp_path / "over"
    copied(whole, over, keep="checkpoint-9")
    shutil.rmtree(over / STATES)
    train(configure(over, *settings))
    assert not written


def nothing(_: Path) -> bool:
    return False


def gone(folder: Path) -> bool:
    shutil.rmtree(folder / STATES)
    return True


def flipped(folder: Path) -> bool:
    file = folder / STATES / STATES_FILE
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    return True


def half_made(folder: Path) -> bool:
    """As a run leaves it that is killed while it makes them."""
    (folder / UNFINISHED).mkdir()
    (folder / STATES).rename(folder / UNFINISHED / STATES)
    (folder / UNFINISHED / STATES / "states.json").unlink()
    return True


HARMS: dict[str, Callable[[Path], bool]] = {
    each.__name__: each for each in (nothing, gone, flipped, half_made)
}

KILLED = """
import os, sys
from tuneglm.stages import making_states
from tuneglm.config import load_config
from tuneglm.training import train
made = making_states.crc32
calls = []
def killed(*args):
    if isinstance(args[0], memoryview) and len(args) == 2:
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), 9)
    return made(*args)
making_states.crc32 = killed
making_states.AT_ONCE["cpu"] = 64
train(load_config(None, sys.argv[1:]))
"""


def test_what_is_killed_while_it_makes_them_goes_on(
    configure: Configure,
    tmp_path: Path,
    rows_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(making_states.AT_ONCE, "cpu", 64)
    whole = train(configure(tmp_path / "whole", *FREEZE)).folder
    out = tmp_path / "out"
    config = configure(out, *FREEZE)
    words = [
        f"{name}={json.dumps(value) if isinstance(value, bool) else value}"
        for name, value in {
            "model.path": config.model.path,
            "model.dtype": "float32",
            "data.train": rows_file,
            "memory_check": "off",
            **{f"training.{name}": value for name, value in config.training.items()},
        }.items()
        if value is not None
    ]
    methods = [each for each in FREEZE if each.startswith("method")]
    command = [sys.executable, "-c", KILLED, *words, *methods]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (out / UNFINISHED / STATES / STATES_FILE).exists() and not (out / STATES).exists()
    train(config)
    assert (out / ADAPTER).read_bytes() == (whole / ADAPTER).read_bytes()
    assert lines_of(out, "loss") == lines_of(whole, "loss")
    assert not (out / UNFINISHED).exists()


def test_who_stops_it_while_it_makes_them_finds_the_folder_free(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(making_states, "flush", pressed)
        with pytest.raises(KeyboardInterrupt):
            train(configure(tmp_path / "out", *FREEZE))
    assert not (tmp_path / "out").exists()
    with monkeypatch.context() as patched:
        # they are there, and no step is done
        patched.setattr(Trainer, "train", pressed)
        with pytest.raises(KeyboardInterrupt):
            train(configure(tmp_path / "out", *FREEZE))
    assert not (tmp_path / "out").exists()


# ---- disks


def test_a_disk_that_fills_meanwhile_is_one_sentence(
    configure: Configure,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make = making_states.write_states

    def full(*given: Any) -> Any:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            return make(*given)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    monkeypatch.setattr(frozen_states, "write_states", full)
    folder = train(configure(tmp_path / "out", *FREEZE)).folder
    printed = " ".join(capsys.readouterr().out.split())
    assert "Note: They cannot be kept (File too large): the frozen layers are computed" in printed
    plain = train(configure(tmp_path / "plain", *FREEZE, "method.frozen_states=off")).folder
    assert lines_of(folder, "loss") == lines_of(plain, "loss")
    assert not (folder / STATES).exists() and not (folder / UNFINISHED).exists()


def test_where_there_is_no_room_nothing_is_begun(
    configure: Configure,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**40, 2**40 - 2**30, 2**30))
    train(configure(tmp_path / "out", *FREEZE))
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "Note: The frozen layers are computed in every step: to keep their states takes" in printed
    )
    assert KEPT not in printed


# ---- when it is not done

AGAINST = {
    "it is not asked for": (("method=lora",), ("method=full",), ("method.frozen_states=off",)),
    "rows are streamed": (("data.streaming=true", "training.max_steps=50"),),
    "noise is added": (("training.neftune_noise_alpha=5",),),
    "another library runs the model": (("training.torch_compile=true",),),
    "something is trained before": (
        ("method.layers=-2",),
        ("method.layers=6",),
        ("method.embeddings=true",),
    ),
    "rows are not seen twice": (
        ("training.num_train_epochs=1",),
        ("training.max_steps=5", "training.num_train_epochs=9"),
    ),
    "it would save too little": (("method.layers=5",),),
}


class Stopped(BaseException):
    """What a test wanted to know is known."""


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Callable[[RunConfig], str | None]:
    """Why a run does not keep states; None: it does."""
    found: list[str | None] = []
    cheap, dear = frozen_states.reason_against, frozen_states.reason_of_work

    def watched(given: Callable[..., str | None]) -> Callable[..., str | None]:
        def look(*arguments: Any) -> str | None:
            found.append(given(*arguments))
            return found[-1]

        return look

    def stop(*_: Any, **__: Any) -> None:
        raise Stopped

    monkeypatch.setattr(frozen_states, "reason_against", watched(cheap))
    monkeypatch.setattr(frozen_states, "reason_of_work", watched(dear))
    monkeypatch.setattr(Trainer, "train", stop)

    def judge(config: RunConfig) -> str | None:
        found.clear()
        with pytest.raises(Stopped):
            train(config)
        return found[-1]

    return judge


@pytest.mark.parametrize("reason", AGAINST)
def test_what_stands_against_it(
    reason: str,
    configure: Configure,
    tmp_path: Path,
    judged: Callable[[RunConfig], str | None],
) -> None:
    for settings in AGAINST[reason]:
        found = judged(configure(tmp_path / "out", *FREEZE, *settings))
        assert found is not None and found.startswith(reason), settings


def test_steps_are_as_good_as_epochs(
    configure: Configure, tmp_path: Path, judged: Callable[[RunConfig], str | None]
) -> None:
    for more in ((), ("training.max_steps=7", "training.num_train_epochs=1")):
        assert judged(configure(tmp_path / "out", *FREEZE, *more)) is None


def test_a_network_that_drops_out_is_computed_each_time(
    configure: Configure,
    tmp_path: Path,
    bases: Path,
    judged: Callable[[RunConfig], str | None],
) -> None:
    made = tmp_path / "dropping"
    shutil.copytree(base_of("native", "whole", bases), made)
    config = json.loads((made / "config.json").read_text("utf-8"))
    (made / "config.json").write_text(json.dumps(config | {"attention_dropout": 0.1}), "utf-8")
    settings = (*FREEZE, f"model.path={made}")
    assert judged(configure(tmp_path / "out", *settings)) == "the network drops something out"


def test_several_processes_compute_each_time(
    configure: Configure,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    judged: Callable[[RunConfig], str | None],
) -> None:
    inner = frozen_states.reason_against

    def of_two(config: Any, trainer: Any) -> Any:
        monkeypatch.setattr(type(trainer.args), "world_size", 2)
        return inner(config, trainer)

    monkeypatch.setattr(frozen_states, "reason_against", of_two)
    reason = judged(configure(tmp_path / "out", *FREEZE))
    assert reason == "several processes or devices share the work"


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("in_training", [True, False])
def test_a_network_that_needs_more_than_states_is_found_out(
    in_training: bool,
    configure: Configure,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    judged: Callable[[RunConfig], str | None],
) -> None:
    """The first layer gives noise in training, or something to the last one by a way of its own."""
    load = frozen_states.reason_against

    def changed(config: Any, trainer: Any) -> Any:
        layers = layers_of(trainer.tuned.model)
        first, last = layers[0].forward, layers[-1].forward
        seen = []

        def noisy(states: torch.Tensor, **more: Any) -> torch.Tensor:
            seen[:] = [first(states, **more)]
            noise = torch.rand_like(states) if in_training and layers[0].training else 0
            return seen[0] + noise

        def leaning(states: torch.Tensor, **more: Any) -> torch.Tensor:
            given = last(states, **more)
            return given if in_training else given + seen[0].mean()

        layers[0].forward, layers[-1].forward = noisy, leaning
        return load(config, trainer)

    monkeypatch.setattr(frozen_states, "reason_against", changed)
    reason = judged(configure(tmp_path / "out", *FREEZE))
    words = "something else in training" if in_training else "the trained layers need more"
    assert reason is not None and words in reason


# ---- what is counted


@pytest.mark.parametrize(
    ("whole", "below", "epochs", "saving"),
    [(10, 0, 3, 1.0), (10, 5, 1, 1.0), (10, 5, 2, 20 / 15), (9, 6, 3, 27 / 15)],
)
def test_the_saving_is_of_the_whole_run(
    whole: float, below: float, epochs: float, saving: float
) -> None:
    assert Work(whole, below).saving(epochs) == pytest.approx(saving)


def test_operations_are_counted_as_they_are(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the demo's six layers, the last trained: by hand from its products."""
    found: list[tuple[Any, MixedRows, Work, float]] = []
    count = frozen_states.work_of

    def watched(trainer: Any, rows: MixedRows) -> Work:
        work = count(trainer, rows)
        chosen = [rows[number * len(rows) // 4] for number in range(4)]
        found.append((trainer, chosen, work, 0.0))  # type: ignore[arg-type]
        return work

    monkeypatch.setattr(frozen_states, "work_of", watched)
    train(configure(tmp_path / "out", *FREEZE, "data.batching=padded"))
    trainer, rows, work, _ = found[0]
    layer, head = layers_of(trainer.tuned.model)[0], trainer.tuned.model.get_output_embeddings()
    products = sum(each.numel() for each in layer.parameters() if each.ndim > 1)
    tokens = sum(row.length for row in rows)
    # scores and their sum: each token sees half of its row
    assert work.below == pytest.approx(5 * 2 * products * tokens, rel=0.1)
    # the head takes positions by sixteens
    trained = sum(-row.trained_tokens // 16 * -16 for row in rows)
    mlp = sum(each.numel() for each in layer.mlp.parameters())
    above = 2 * tokens * (products + 2 * mlp) + 2 * 2 * trained * head.weight.numel()
    assert work.whole - work.below == pytest.approx(above, rel=0.15)
    assert all(weight.grad is None for weight in trainer.tuned.model.parameters())


def test_epochs_are_counted_in_tokens_of_rows_that_differ() -> None:
    class Rows:
        def __init__(self, *lengths: int) -> None:
            self.lengths = torch.tensor(lengths)

        def __len__(self) -> int:
            return len(self.lengths)

    class Given:
        max_steps, num_train_epochs, train_batch_size = -1, 2, 4
        gradient_accumulation_steps = world_size = 1

    class Run:
        args, train_dataset = Given(), Rows(3, 3, 5, 5)

    run: Any = Run()
    assert epochs_of(run, run.train_dataset, Rows(3, 5)) == 4  # type: ignore[arg-type]
    run.args.max_steps = 3
    assert epochs_of(run, run.train_dataset, Rows(3, 5)) == 6  # type: ignore[arg-type]


def test_neighbours_go_together() -> None:
    lengths = [3, 4, 5, 20, 2]
    assert list(groups_of(lengths, 10, packed=False)) == [[0, 1], [2], [3], [4]]
    assert list(groups_of(lengths, 12, packed=True)) == [[0, 1, 2], [3], [4]]
    assert list(groups_of([30], 10, packed=True)) == [[0]]


# ---- networks of other families


NETWORKS: dict[str, dict[str, Any]] = {
    "llama": {},
    "gemma2": {"head_dim": 16, "sliding_window": 4},
    "gpt_neox": {},
    "mixtral": {"num_local_experts": 4},
    "qwen3": {"head_dim": 16},
    "olmo2": {},
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_begins_with_states(kind: str) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 128}
    config = AutoConfig.for_model(kind, **sizes, **heads, **NETWORKS[kind], pad_token_id=0)
    model: Any = AutoModelForCausalLM.from_config(config).eval()
    model.requires_grad_(False)
    layers_of(model)[-1].requires_grad_(True)
    below = frozen_below(model)
    assert len(below) == 3
    inputs = {"input_ids": torch.randint(1, 128, (2, 12)), "attention_mask": torch.ones(2, 12)}
    inputs["attention_mask"][1, 7:] = 0
    with torch.no_grad():
        states = states_below(model, below, inputs)
        whole = model(**inputs).logits
        names = list(model.state_dict())
        with handing_on(below, states):
            assert torch.equal(model(**inputs).logits, whole)
        with handing_on(below, states.flip(-1)):
            assert not torch.allclose(model(**inputs).logits, whole, atol=1e-3)
    assert list(model.state_dict()) == names and torch.equal(model(**inputs).logits, whole)


def test_what_is_trained_before_the_layers_forbids_it() -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "vocab_size": 64}
    config = AutoConfig.for_model("llama", **sizes, num_attention_heads=2, tie_word_embeddings=True)
    model: Any = AutoModelForCausalLM.from_config(config)
    model.requires_grad_(False)
    assert frozen_below(model) == []
    layers_of(model)[1].requires_grad_(True)
    assert len(frozen_below(model)) == 1
    model.get_output_embeddings().requires_grad_(True)
    assert frozen_below(model) == []  # they are the embeddings, too
    assert not draws_numbers(model)
    assert draws_numbers(AutoModelForCausalLM.from_config(AutoConfig.for_model("gpt2")))


def test_a_file_of_states_is_read_by_places(tmp_path: Path) -> None:
    states = torch.randn(7, 4).to(torch.bfloat16)
    (tmp_path / STATES_FILE).write_bytes(states.view(torch.int16).numpy().tobytes())
    about = About(
        "key", 7, 4, "bfloat16", making_states.crc32((tmp_path / STATES_FILE).read_bytes())
    )
    about.write(tmp_path)
    assert is_kept(tmp_path, About("key", 7, 4, "bfloat16"))
    assert not is_kept(tmp_path, About("key", 7, 4, "float16"))
    file = tmp_path / STATES_FILE
    for harm in (lambda each: each[:-8], lambda each: each + b"1", lambda each: b"1" + each[1:]):
        sound = file.read_bytes()
        file.write_bytes(harm(sound))
        assert not is_kept(tmp_path, About("key", 7, 4, "bfloat16"))
        file.write_bytes(sound)
    assert not is_kept(tmp_path, About("other", 7, 4, "bfloat16"))
    assert not is_kept(tmp_path / "nowhere", About("key", 7, 4, "bfloat16"))
    kept = KeptStates(tmp_path, about, [])
    places = torch.tensor([[2, 3, 4], [6, -1, -1]])
    assert torch.equal(kept.at(places)[0], states[2:5])
    assert torch.equal(kept.at(places)[1, 0], states[6])
    kept.close()


def test_memory_does_not_grow_by_the_file(tmp_path: Path) -> None:
    about = About("key", 2**14, 2**10, "float32")
    with (tmp_path / STATES_FILE).open("wb") as file:
        file.truncate(about.size)
    kept = KeptStates(tmp_path, about, [])
    device = torch.device("cpu")
    kept.at(torch.arange(256)[None])
    forget_peak(device)
    begun = peak_memory(device) or 0
    for places in torch.arange(about.tokens).split(256):
        kept.at(places[None])
    assert (peak_memory(device) or 0) - begun < about.size / 8
