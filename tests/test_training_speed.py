"""The parts of `make bench`: its contenders' turns, what it counts, the models that it makes."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
# its files find each other as they do when one is started
sys.path.append(str(BENCHMARKS))

from training_growth import exponent  # noqa: E402
from training_race import Contender, ContenderError, race  # noqa: E402
from training_shapes import SHAPES, TINY, material  # noqa: E402
from training_speed import Row  # noqa: E402
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
