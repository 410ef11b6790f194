"""How many threads torch is let: by what the system grants, faked here, and what was asked for."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tuneglm import processors
from tuneglm.processors import Threads, quota, usable, use_threads


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n", encoding="utf-8")


def second(root: Path, name: str, limit: str) -> None:
    """A group of version 2."""
    write(root / "proc/self/cgroup", "0::/pods/one")
    write(root / "sys/fs/cgroup" / name / "cpu.max", limit)


def first(root: Path, name: str, time: int, mount: str = "cpu,cpuacct") -> None:
    """A group of version 1, beside the one that systemd has of version 2."""
    lines = "9:memory:/pods/two\n4:cpu,cpuacct:/pods/one\n0::/"
    write(root / "proc/self/cgroup", lines)
    write(root / "sys/fs/cgroup" / mount / name / "cpu.cfs_quota_us", str(time))
    write(root / "sys/fs/cgroup" / mount / name / "cpu.cfs_period_us", "100000")


def test_a_system_without_groups_grants_all(tmp_path: Path) -> None:
    assert quota(tmp_path) is None


@pytest.mark.parametrize("name", ["pods/one", "pods", ""])
def test_a_quota_of_any_group_above_counts(name: str, tmp_path: Path) -> None:
    second(tmp_path / "second", name, "150000 100000")
    assert quota(tmp_path / "second") == 1.5
    first(tmp_path / "first", name, 250_000)
    assert quota(tmp_path / "first") == 2.5
    # where the set of controllers is a link that is not there
    first(tmp_path / "link", name, 250_000, mount="cpu")
    assert quota(tmp_path / "link") == 2.5


def test_the_smallest_quota_counts_and_another_groups_does_not(tmp_path: Path) -> None:
    second(tmp_path, "", "800000 100000")
    second(tmp_path, "pods", "200000 100000")
    second(tmp_path, "pods/one", "max 100000")
    second(tmp_path, "pods/other", "1000 100000")
    assert quota(tmp_path) == 2


@pytest.mark.parametrize("limit", ["max 100000", "", "nonsense", "1 2 3", "100000 0"])
def test_what_is_no_quota_grants_all(limit: str, tmp_path: Path) -> None:
    second(tmp_path, "pods/one", limit)
    assert quota(tmp_path) is None


def test_minus_one_of_version_1_grants_all(tmp_path: Path) -> None:
    first(tmp_path, "pods/one", -1)
    assert quota(tmp_path) is None


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A torch that takes eight threads by itself, of sixteen processors; what it is set to."""
    taken = [8]
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(processors, "seen", lambda: 16)
    monkeypatch.setattr(processors, "quota", lambda: None)
    monkeypatch.setattr(torch, "get_num_threads", lambda: taken[-1])
    monkeypatch.setattr(torch, "set_num_threads", taken.append)
    processors._chosen.cache_clear()
    yield taken
    processors._chosen.cache_clear()


def grant(monkeypatch: pytest.MonkeyPatch, processors_: float) -> None:
    monkeypatch.setattr(processors, "quota", lambda: processors_)


def test_without_a_quota_torch_has_its_own_number(eight: list[int]) -> None:
    assert use_threads() == Threads(8) and eight == [8]
    assert use_threads().words == "8 threads" and usable() == 16


@pytest.mark.parametrize(
    ("granted", "count", "words"),
    [
        (0.5, 1, "1 thread (a quota of 0.5 processors)"),
        (1, 1, "1 thread (a quota of 1 processor)"),
        (2.5, 3, "3 threads (a quota of 2.5 processors)"),
        (8, 8, "8 threads"),
        (12, 8, "8 threads"),
    ],
)
def test_a_quota_is_rounded_up_and_said(
    eight: list[int], monkeypatch: pytest.MonkeyPatch, granted: float, count: int, words: str
) -> None:
    grant(monkeypatch, granted)
    assert use_threads().words == words
    assert eight[-1] == count and usable() == max(1, -int(-granted // 1))


def test_affinity_counts_too(eight: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "seen", lambda: 2)
    grant(monkeypatch, 4)
    assert use_threads() == Threads(2)


@pytest.mark.parametrize(("processes", "count"), [(2, 3), (3, 2), (8, 1)])
def test_processes_of_a_run_share_them(
    eight: list[int], monkeypatch: pytest.MonkeyPatch, processes: int, count: int
) -> None:
    grant(monkeypatch, 6)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    assert use_threads().count == count == eight[-1]
    # accelerate sees that it has been chosen, and it is not shared out once more
    assert os.environ["OMP_NUM_THREADS"] == str(count)
    assert use_threads() == Threads(count, 6)


def test_what_was_asked_for_is_left(eight: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    grant(monkeypatch, 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert use_threads() == Threads(8) and eight == [8]


def test_who_changes_it_later_has_the_last_word(
    eight: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    grant(monkeypatch, 4)
    assert use_threads().count == 4
    torch.set_num_threads(2)
    assert use_threads() == Threads(2) and eight == [8, 4, 2]


def test_a_process_computes_with_what_it_is_granted() -> None:
    """A torch of its own, which has not been asked before."""
    code = (
        "from tuneglm import processors\n"
        "processors.quota = lambda: 0.7\n"
        "print(processors.use_threads().words)\n"
        "import torch\n"
        "print(torch.get_num_threads())\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "1"
    assert done.stdout.startswith("1 thread")
