"""The files that the old tool left beside its weights, and scripts of its users look for.

train_results.json, eval_results.json, predict_results.json, all_results.json
trainer_state.json      the curve: `log_history`
trainer_state.png       with `--plot_loss`
finetuning_args.json    the arguments of the method
generated_predictions.txt   lines of {"label": …, "predict": …}
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneglm.checkpoints import LOG_FILE
from tuneglm.original.flags import FINETUNING_TYPES, FLAGS
from tuneglm.original.reading import Given
from tuneglm.reports.run import CHART_FILE

# what the last line of the log has of a whole run
TRAINED = (
    "epoch",
    "train_loss",
    "train_runtime",
    "train_samples_per_second",
    "train_steps_per_second",
)
OF_METHODS = ("finetuning_type", *(name for name, flag in FLAGS.items() if flag.method))


def write_training_files(folder: Path, given: Given) -> None:
    """Beside a finished run's weights, from its log."""
    lines = (folder / LOG_FILE).read_text(encoding="utf-8").splitlines()
    history = [json.loads(line) for line in lines]
    last: dict[str, Any] = next((entry for entry in reversed(history) if "train_loss" in entry), {})
    write_metrics(folder, "train", {name: last[name] for name in TRAINED if name in last})
    steps = max((entry.get("step", 0) for entry in history), default=0)
    state = {"epoch": last.get("epoch"), "global_step": steps, "log_history": history}
    _write(folder / "trainer_state.json", state)
    if given.get("plot_loss") and (folder / CHART_FILE).is_file():
        shutil.copyfile(folder / CHART_FILE, folder / "trainer_state.png")
    arguments = {name: given.get(name, FLAGS[name].default) for name in OF_METHODS}
    named = arguments["finetuning_type"].lower().replace("-", "_")
    _write(
        folder / "finetuning_args.json", arguments | {"finetuning_type": FINETUNING_TYPES[named]}
    )


def write_metrics(folder: Path, job: str, metrics: Mapping[str, Any]) -> None:
    """`JOB_results.json`, and the same among those of all jobs of this folder."""
    _write(folder / f"{job}_results.json", metrics)
    every = folder / "all_results.json"
    before = json.loads(every.read_text(encoding="utf-8")) if every.is_file() else {}
    _write(every, {**before, **metrics})


def _write(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=4, ensure_ascii=False, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")
