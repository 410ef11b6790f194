"""Two processes train what one trains: every method, padded and packed, by every way to share.

Each way is one pair of processes that does all runs. FSDP truly divides here: worker.py lets it,
which accelerate does on GPUs alone. DeepSpeed's cells are left out where it is not installed.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import ROWS
from tests.end_to_end.test_several_processes import WITHOUT_GPU
from tuneglm.demo import MODEL_FOLDER
from tuneglm.methods import METHODS
from tuneglm.models.loading import load_model

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).parent / "worker.py"
# method → settings that suit a small model; no dropout: each process draws its own
SETTINGS = {
    "lora": ("training.learning_rate=0.005",),
    "full": ("training.learning_rate=0.0005",),
    "freeze": ("method.layers=1", "training.learning_rate=0.001"),
    "p_tuning": ("method.length=5", "method.dropout=0", "training.learning_rate=0.02"),
    "prompt": ("method.length=5", "training.learning_rate=0.02"),
}
BATCHING = {
    "padded": ("training.per_device_train_batch_size=2",),
    "packed": ("data.batching=packed", "data.cutoff=64"),
}
ZERO = "training.deepspeed={}/configs/accelerate/zero{}.json"
WAYS = {
    "one": ("training.gradient_accumulation_steps=2",),
    "ddp": (),
    "fsdp": ("training.fsdp=true",),
    "zero2": (ZERO.format(ROOT, 2),),
    "zero3": (ZERO.format(ROOT, 3),),
}
BITWISE = ("one", "ddp")
# methods whose padded run is also gone on with, from its second step
RESUMED = ("lora", "full", "p_tuning")
# what else two processes do as one
EQUAL = {
    "evaluated": (
        *("data.train={place}/many.json", "data.evaluation_rows=7", *BATCHING["packed"]),
        *("training.per_device_train_batch_size=1", "training.max_steps=3"),
    ),
    "streamed": (
        *("data.train={place}/many.json", "data.streaming=true", "data.shuffle_buffer=7"),
        *BATCHING["padded"],
        "training.max_steps=3",
    ),
    "averaged": ("average=1", *BATCHING["padded"], "training.max_steps=3"),
    "asked": (
        *("data.train={{path: {place}/many.json, replay: true}}", "data.evaluation_rows=3"),
        *("stage.kl=1", "probe.files={place}/questions.json", "probe.max_new_tokens=8"),
        *BATCHING["padded"],
    ),
}
CELLS = [(method, batching) for method in METHODS for batching in BATCHING]
# what cannot be; tests/stages/test_arguments.py has the sentence
REFUSED = {("fsdp", "prompt")}
Ran = Callable[[str], Path]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The folder of all runs of one way, which are done when it is first asked for."""
    folder = tmp_path_factory.mktemp("ways")
    for name, times in (("rows", 2), ("many", 9)):
        rows = [row | {"input": str(i)} for i in range(times) for row in ROWS]
        (folder / f"{name}.json").write_text(json.dumps(rows))
    questions = [{"question": each, "expects": ["x"]} for each in ("你是谁？", "3+4=", "Hello")]
    (folder / "questions.json").write_text(json.dumps(questions))

    def run_all(way: str) -> Path:
        if not (folder / way).exists():
            (folder / way).mkdir()
            if way.startswith("zero") and find_spec("deepspeed") is None:
                pytest.skip("deepspeed is not installed")
            _work(folder / way, list(_runs(way, folder)), 1 if way == "one" else 2)
        if not any((folder / way).iterdir()):
            pytest.skip("deepspeed is not installed")
        return folder / way

    return run_all


def _runs(way: str, place: Path) -> Any:
    folder = place / way
    common = [
        f"model.path={MODEL_FOLDER}",
        "model.dtype=float32",
        f"data.train={place / 'rows.json'}",
        "training.bf16=false",
        # the second loss is already of a model that has learnt
        "training.lr_scheduler_type=constant",
        "training.warmup_steps=0",
        "training.max_steps=2",
        "training.logging_steps=1",
        # Adam takes the sign of a gradient next to zero: another order of a sum would show
        "training.adam_epsilon=0.001",
        "memory_check=off",
        *WAYS[way],
    ]
    for method, batching in CELLS:
        if (way, method) not in REFUSED:
            name = f"{method}-{batching}"
            chosen = [*common, f"method={method}", *SETTINGS[method], *BATCHING[batching]]
            # of one run it is asked whether it fits, as of those that people start
            asked = ["memory_check=refuse"] if name == "lora-padded" else []
            goes_on = batching == "padded" and method in RESUMED
            longer = ["training.max_steps=4", "training.save_steps=2"]
            chosen += longer if goes_on else ["training.save_strategy=no"]
            yield [*chosen, *asked, f"training.output_dir={folder / name}"]
            if goes_on and way != "one":
                resume = f"resume={folder / name / 'checkpoint-2'}"
                yield [*chosen, resume, f"training.output_dir={folder / name}-resumed"]
    if way in BITWISE:
        for name, settings in EQUAL.items():
            named = [setting.format(place=place) for setting in settings]
            learnt = SETTINGS["lora"]
            yield [*common, *learnt, *named, f"training.output_dir={folder / name}"]


def _work(folder: Path, runs: list[Any], processes: int) -> None:
    jobs = folder / "runs.json"
    jobs.write_text(json.dumps(runs))
    command = [sys.executable, str(WORKER), str(jobs)]
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
        command[1:1] = launcher
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        | WITHOUT_GPU,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


def losses(folder: Path, name: str = "loss") -> list[float]:
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [entry[name] for entry in entries if name in entry]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    for name in ("adapter_model.safetensors", "model.safetensors"):
        if (folder / name).is_file():
            return load_file(folder / name)
    return torch.load(folder / "pytorch_model.bin", weights_only=True)


@pytest.mark.parametrize(("method", "batching"), CELLS)
def test_two_processes_equal_one(ran: Ran, method: str, batching: str) -> None:
    one, two = (ran(way) / f"{method}-{batching}" for way in ("one", "ddp"))
    assert losses(two) == losses(one) != []
    ours, theirs = weights(two), weights(one)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("way", ["fsdp", "zero2", "zero3"])
@pytest.mark.parametrize(("method", "batching"), CELLS)
def test_what_is_divided_equals_what_is_not(ran: Ran, way: str, method: str, batching: str) -> None:
    if (way, method) in REFUSED:
        pytest.skip("refused with a sentence")
    name = f"{method}-{batching}"
    divided, whole = ran(way) / name, ran("one") / name
    assert losses(divided) == pytest.approx(losses(whole), abs=2e-6)
    ours, theirs = weights(divided), weights(whole)
    assert {key: each.dtype for key, each in ours.items()} == {
        key: each.dtype for key, each in theirs.items()
    }
    for key, each in ours.items():
        torch.testing.assert_close(each, theirs[key], atol=1e-5, rtol=0)
    load_model(divided, dtype="float32", device="cpu")


@pytest.mark.parametrize("way", ["ddp", "fsdp", "zero2", "zero3"])
@pytest.mark.parametrize("method", RESUMED)
def test_a_run_goes_on_from_its_parts(ran: Ran, way: str, method: str) -> None:
    whole, resumed = (ran(way) / f"{method}-padded{end}" for end in ("", "-resumed"))
    assert losses(resumed) == losses(whole)
    assert len(losses(whole)) == 4
    ours, theirs = weights(resumed), weights(whole)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def equal(ran: Ran, name: str) -> list[Path]:
    """The folders of such a run by one process and by two, which learnt the same."""
    one, two = folders = [ran(way) / name for way in BITWISE]
    assert losses(two) == losses(one) != []
    ours, theirs = weights(two), weights(one)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    return folders


def test_two_processes_evaluate_packed_rows_as_one(ran: Ran) -> None:
    """Their eleven packs leave one process with nothing new at the end."""
    one, two = (losses(folder, "eval_loss") for folder in equal(ran, "evaluated"))
    assert two == pytest.approx(one, abs=1e-6)
    assert one != []


def test_two_processes_share_a_stream_as_one_would_read_it(ran: Ran) -> None:
    equal(ran, "streamed")


def test_two_processes_average_as_one(ran: Ran) -> None:
    """The result is the mean of the steps, and no step's own weights."""
    for folder in equal(ran, "averaged"):
        ours, last = weights(folder), weights(folder / "checkpoint-3")
        assert not all(torch.equal(ours[name], last[name]) for name in last)


def test_two_processes_are_held_to_the_base_and_asked_as_one(ran: Ran) -> None:
    """Each asks its part of the questions; the distance from the base is of all rows' tokens."""
    folders = equal(ran, "asked")
    one, two = (json.loads((folder / "probe.json").read_text())["answers"] for folder in folders)
    assert two == one
    assert len(one) == 6
