"""Answers are written as they come, and a run that was stopped goes on behind them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tuneglm.config import ChatConfig
from tuneglm.data.encoded import Encoded
from tuneglm.evaluation.answers import answered, write_answers
from tuneglm.evaluation.sets import EvaluatedSet

END = 0


class Speaker:
    """Says back the last token of each prompt; stops when it was asked so often."""

    end_tokens = (END,)

    def __init__(self, until: int = 10**6) -> None:
        self.until, self.asked, self.seeds = until, 0, list[int | None]()

    def padded_answers(
        self, prompts: Sequence[list[int]], config: ChatConfig, at_once: int
    ) -> list[str]:
        self.asked += len(prompts)
        self.seeds.append(config.seed)
        if self.asked > self.until:
            raise KeyboardInterrupt
        return [f"said {prompt[-1]}" for prompt in prompts]

    def decode(self, ids: list[int]) -> str:
        return " ".join(map(str, ids))


def a_set(count: int) -> EvaluatedSet:
    rows = [
        Encoded([5, 10 + n, 7, 8, END], [-100, -100, 7, 8, END], [False] * 5, None)
        for n in range(count)
    ]
    return EvaluatedSet("rows", rows, count)


def test_a_line_is_what_the_original_wrote(tmp_path: Path) -> None:
    file = tmp_path / "predictions.jsonl"
    speaker: Any = Speaker()
    pairs = write_answers(lambda: speaker, [a_set(2), a_set(1)], file, ChatConfig(temperature=0), 2)
    assert pairs == [("said 10", "7 8"), ("said 11", "7 8"), ("said 10", "7 8")]
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[0] == '{"label": "7 8", "predict": "said 10"}'
    assert answered(file) == pairs


def test_it_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    file, config = tmp_path / "predictions.jsonl", ChatConfig(temperature=0)
    stopped: Any = Speaker(until=13)
    with pytest.raises(KeyboardInterrupt, match="first 12 of 20 answers are kept"):
        write_answers(lambda: stopped, [a_set(20)], file, config, 2)
    with file.open("a", encoding="utf-8") as torn:
        torn.write('{"label": "7 8", "predict": "said 22"}\n{"label": "7')
    more: Any = Speaker()
    told: list[int] = []
    pairs = write_answers(lambda: more, [a_set(20)], file, config, 2, told.append)
    # whole batches are kept
    assert more.asked == 8 and told == [14, 16, 18, 20]
    whole: Any = Speaker()
    assert pairs == write_answers(lambda: whole, [a_set(20)], tmp_path / "new", config, 2)
    assert file.read_bytes() == (tmp_path / "new").read_bytes()


def test_what_is_done_needs_no_model(tmp_path: Path) -> None:
    file, config = tmp_path / "predictions.jsonl", ChatConfig(temperature=0.5, seed=3)
    speaker: Any = Speaker()
    pairs = write_answers(lambda: speaker, [a_set(9)], file, config, 2)
    # drawn anew for each batch, whenever it is asked
    assert speaker.seeds == [3, 5, 7, 9, 11]

    def no_model() -> Any:
        raise AssertionError

    assert write_answers(no_model, [a_set(9)], file, config, 2) == pairs
    assert json.loads(file.read_text().splitlines()[0])["predict"] == "said 10"
