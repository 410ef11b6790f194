"""A subject of a suite as a task of lm-evaluation-harness, over questions in memory."""

import contextlib
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tuneglm.evaluation.suites import CHOICES, Subject, Suite

SEED = 1234


def right_answers(model: Any, suite: Suite, subject: Subject, shots: int, chat: bool) -> list[bool]:
    """Of each question whether the likeliest of the letters is the right one, by the harness.

    model  an `lm_eval.api.model.LM`
    shots  examples before each question, the first ones of the subject
    chat   whether the model's own chat form is used, with a turn for each example
    """
    from lm_eval.evaluator import evaluate

    # bars of its own for each of dozens of subjects
    with contextlib.redirect_stderr(io.StringIO()):
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        task = task_of(suite, subject, shots)
        task.set_fewshot_seed(SEED)
        results = evaluate(
            model,
            {"tasks": {task.config.task: task}, "groups": {}},
            bootstrap_iters=0,
            apply_chat_template=chat,
            fewshot_as_multiturn=chat,
        )
    samples = sorted(results["samples"][task.config.task], key=lambda each: each["doc_id"])
    return [bool(each["acc"]) for each in samples]


def task_of(suite: Suite, subject: Subject, shots: int) -> Any:
    """Multiple choice by likelihood, worded as the harness words the suite's own tasks."""
    from datasets import Dataset  # type: ignore[import-untyped]
    from lm_eval.api.task import ConfigurableTask

    def rows(items: Sequence[Any]) -> Any:
        return Dataset.from_list([dict(item) for item in items])

    parts = {"asked": rows(subject.asked)}
    if subject.shown:
        parts["shown"] = rows(subject.shown)
    return ConfigurableTask(
        config={
            "task": f"{suite.name}_{subject.name}",
            "custom_dataset": lambda **_: parts,
            "test_split": "asked",
            "fewshot_split": "shown" if subject.shown else None,
            "fewshot_config": {"sampler": "first_n"} if subject.shown else None,
            "num_fewshot": min(shots, len(subject.shown)),
            "output_type": "multiple_choice",
            "description": _description(suite, subject.name),
            "doc_to_text": f"{{{{question.strip()}}}}\nA. {{{{A}}}}\nB. {{{{B}}}}\nC. {{{{C}}}}"
            f"\nD. {{{{D}}}}\n{suite.answer}",
            "doc_to_choice": list(CHOICES),
            "doc_to_target": "{{['A', 'B', 'C', 'D'].index(answer)}}",
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        }
    )


def _description(suite: Suite, subject: str) -> str:
    """What stands before a subject's examples: the harness's own words where it has some."""
    import lm_eval

    file = Path(lm_eval.__file__).parent / "tasks" / suite.own_task.format(subject)
    if file.is_file():
        own = yaml.load(file.read_text(encoding="utf-8"), yaml.BaseLoader)
        return str(own["description"])
    return suite.description.format(subject.replace("_", " "))
