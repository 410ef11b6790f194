"""The parts of `make bench`: its contenders' turns, what it counts, the models that it makes."""

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
# its files find each other as they do when one is started
sys.path.append(str(BENCHMARKS))

from growth_sweeps import exponent, shared_cores, sweeps  # noqa: E402
from growth_verdict import verdicts  # noqa: E402
from training_race import Contender, ContenderError, race  # noqa: E402
from training_sections import SECTIONS  # noqa: E402
from training_shapes import SHAPES, TINY, material  # noqa: E402
from training_table import Row  # noqa: E402
from training_turns import Turns  # noqa: E402


class NoModel:
    """Nothing that has to be in memory."""

    def parameters(self) -> list[Any]:
        return []

    buffers = parameters


def sleeper(address: str, seconds: float) -> None:
    turns = Turns(address)
    turns.ready(NoModel())
    kept = []
    while True:
        time.sleep(seconds)
        kept.append(bytearray(b"x") * 2**20)
        turns.worked(100)


def failing(address: str) -> None:
    raise RuntimeError("no such model")


def test_contenders_work_in_turns() -> None:
    slow, quick = Contender("slow", sleeper, (0.05,)), Contender("quick", sleeper, (0.01,))
    results = race([slow, quick], rounds=3, work=300)
    assert len(results["slow"].rates) == 3
    assert results["quick"].rate > 2 * results["slow"].rate
    assert results["slow"].above > 5


def test_a_contender_that_fails_says_why() -> None:
    with pytest.raises(ContenderError, match="no such model"):
        race([Contender("failing", failing)], rounds=1, work=1)


def test_the_race_goes_on_without_one_that_may_fail(capsys: pytest.CaptureFixture[str]) -> None:
    racers = [
        Contender("failing", failing, may_fail=True),
        Contender("sound", sleeper, (0.01,)),
    ]
    assert set(race(racers, rounds=1, work=100)) == {"sound"}
    assert "no such model" in capsys.readouterr().out


def test_a_goal_is_met_from_either_side() -> None:
    assert Row("work", "them", "2", "1", 2.0, 1.5).met
    assert not Row("work", "them", "2", "1", 2.0, 1.5, is_least=False).met
    assert "not measured" in Row("work", "them", "", "", None, 1).words


def test_operations_are_those_of_the_products() -> None:
    # by hand: 8 layers of q and o (512 × 512), k and v (512 × 128), three of 512 × 1,536
    weights = 8 * (2 * 512 * 512 + 2 * 512 * 128 + 3 * 512 * 1536)
    head, scores = 512 * 65_024, 8 * 2 * 512 * 100
    assert SHAPES["A"].operations(0.5, 100) == 4 * (weights + head / 2) + 6 * scores


def test_the_exponent_is_the_slope() -> None:
    assert exponent([1, 2, 4, 8], [3, 12, 48, 192]) == pytest.approx(2)


def test_processes_need_no_longer_unless_they_share_cores() -> None:
    assert shared_cores((1, 2), threads=1, cores=2) == 0
    assert shared_cores((1, 2), threads=1, cores=1) == pytest.approx(1)
    # one process has two of three cores to itself
    assert shared_cores((1, 2), threads=2, cores=3) == pytest.approx(0.415, abs=1e-3)
    named = {sweep.name: sweep.lines for sweep in sweeps(False, threads=1, cores=1)}
    assert named["processes"][""].most == pytest.approx(1) and named["batch"][""].most == 0


def faults(most: float, sizes: list[int], times: list[float], noise: float) -> list[str]:
    """Of three turns, of which the last one was disturbed the more the larger the size."""
    worse = [1 + noise * place / (len(sizes) - 1) for place in range(len(sizes))]
    turns = [[each, each, each * factor] for each, factor in zip(times, worse)]
    return [each.fault for each in verdicts("rank", most, sizes, turns)]


def test_a_cost_that_outgrows_its_mathematics_is_told() -> None:
    sizes = [1, 2, 4, 8]
    constant, linear, square = ([10 + each**power for each in sizes] for power in (0, 1, 2))
    assert faults(0, sizes, constant, noise=0) == ["", ""]
    assert faults(1, sizes, linear, noise=0.1) == ["", ""]
    whole, end = faults(0, sizes, linear, noise=0)
    assert "grows with 0.24, by mathematics at most 0.00" in whole and "0.29" in end
    # what does not grow hides the square along the whole line, and at its end no longer
    whole, end = faults(1, sizes, square, noise=0)
    assert whole == "" and "grows with 1.20" in end


def test_turns_that_differ_too_much_are_no_pass() -> None:
    assert all("measure again" in each for each in faults(0, [1, 2, 4, 8], [1] * 4, noise=2))
    # of one turn nothing is judged
    alone = verdicts("rank", 0, [1, 2], [[1.0], [2.0]])
    assert [each.fault for each in alone] == [""]


@pytest.mark.parametrize("name", ["A", "C"])
def test_both_sides_train_the_same_tokens(name: str, tmp_path: Path) -> None:
    from tuneglm.models.loading import load_model

    made = material(TINY[name], tmp_path / "material", None, None)
    assert made.tokens > made.trained > 0
    network = load_model(made.model)
    assert network.get_output_embeddings().out_features == TINY[name].vocabulary
    assert made.operations == pytest.approx(
        TINY[name].operations(made.trained / made.tokens, made.square / made.tokens / 2)
    )


def numbers(value: Any) -> Iterator[float]:
    """All that stand anywhere in some JSON."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from numbers(each)
    elif isinstance(value, int | float):
        yield value


def test_every_section_runs_to_its_lines(tmp_path: Path) -> None:
    """All in one command: contenders of all sections come from one process that has imported.

    But for the starts of commands, which take as long as all others: tests start these anyway.
    """
    file = tmp_path / "figures.json"
    line = [sys.executable, str(BENCHMARKS / "training_speed.py"), "--tiny", "--json", str(file)]
    line += ["--only", "^(?!starting)"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text(encoding="utf-8"))
    for name in [each for each in SECTIONS if each != "starting"]:
        section = figures[name]
        assert "failed" not in section and "left out" not in section, f"{name}: {section}"
        assert all(map(math.isfinite, numbers(section))), f"{name}: {section}"
    works = {row["work"] for row in figures["table"]}
    for work in ("LoRA, A", "LoRA, B", "LoRA, C", "freeze", "P-tuning", "full", "4-bit", "bf16"):
        assert any(each.startswith(work) for each in works), works
    assert len(figures["table"]) == 25
    for row in figures["table"]:
        assert row["value"] is not None and math.isfinite(row["value"]), row
        # as a line of the table that is printed
        words = Row(**{key: value for key, value in row.items() if key != "met"}).words
        assert words in done.stdout
