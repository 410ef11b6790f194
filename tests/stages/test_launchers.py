"""Launchers that start one process, or strangers, where several are meant."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import Configure
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ConfigError
from tuneglm.stages import launchers
from tuneglm.stages.launchers import check_processes
from tuneglm.training import train

ACCELERATE = (sys.executable, "-m", "accelerate.commands.launch")
ONE: Any = SimpleNamespace(world_size=1)
# a job's own, whatever it starts
CLUSTER = {"MASTER_ADDR": "node1", "MASTER_PORT": "12345"}
SENTENCE = "asked for several processes and started one"


def launch(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What `accelerate launch WORDS` starts."""
    return subprocess.run(
        [*ACCELERATE, *words],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""} | environment,
    )


def test_accelerate_that_starts_one_process_for_two(rows_file: Path, tmp_path: Path) -> None:
    """It does so without a word, also in a cluster's job."""
    settings = (f"data.train={rows_file}", f"training.output_dir={tmp_path / 'out'}")
    run = ("-m", "tuneglm", "train", f"model.path={MODEL_FOLDER}", *settings)
    launched = launch("--cpu", "--num_processes", "2", *run, **CLUSTER)
    assert launched.returncode != 0
    assert SENTENCE in launched.stderr
    assert "--processes N" in launched.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process sees what started it")
def test_one_process_in_a_cluster_is_one(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from types import SimpleNamespace\n"
        "from tuneglm.stages.launchers import check_processes\n"
        "check_processes(SimpleNamespace(world_size=1))\n"
        "print('goes on')\n"
    )
    launched = launch("--num_processes", "1", str(script), **CLUSTER)
    assert launched.stdout == "goes on\n", launched.stderr


@pytest.mark.parametrize("use_cpu", ["True", "False"])
@pytest.mark.parametrize(
    ("words", "is_one"),
    [
        ("accelerate launch --num_processes 1 -m tuneglm train run.yaml", True),
        ("accelerate launch --num_machines 1 --num-processes=1 -m tuneglm train run.yaml", True),
        ("accelerate launch --num_processes 2 -m tuneglm train run.yaml", False),
        ("accelerate launch --num_processes 1 --num_machines=2 -m tuneglm train run.yaml", False),
        # that of a script is not the launcher's
        ("accelerate launch --num_processes 2 tune.py --num_processes 1", False),
        # its file may ask for several
        ("accelerate launch --config_file one.yaml -m tuneglm train run.yaml", False),
        ("sh job.sh", False),
        ("", False),
    ],
)
def test_a_meeting_place_is_a_clusters_where_the_launcher_says_one(
    words: str, is_one: bool, use_cpu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one GPU accelerate says `False` of the processor for one process and for two."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    for name, value in {**CLUSTER, "ACCELERATE_USE_CPU": use_cpu}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(launchers, "_launcher", lambda: words.replace(" ", "\0"))
    if is_one:
        check_processes(ONE)
    else:
        with pytest.raises(ConfigError, match=SENTENCE):
            check_processes(ONE)


def test_a_port_without_an_address_is_not_of_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes both."""
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "False")
    monkeypatch.setenv("MASTER_PORT", "12345")
    check_processes(ONE)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(ConfigError, match=SENTENCE):
        check_processes(ONE)


def test_processes_that_train_apart(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`torchrun` where transformers sees one process: each would train alone, without a word."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="2 processes were started, but each trains alone"):
        train(configure(tmp_path / "out", "training.use_cpu=false"))
