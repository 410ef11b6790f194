"""`--do_eval` and `--do_predict`: the loss of rows, answers to them, BLEU and ROUGE.

By its own settings: sampled by top_p 0.7 and temperature 0.95 where nothing else is given.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneglm.checkpoints import writable
from tuneglm.config import ChatConfig, RunConfig, chat_config, load_config
from tuneglm.errors import ConfigError
from tuneglm.evaluation.answers import Pair, Tell, write_answers
from tuneglm.evaluation.loss import losses_of
from tuneglm.evaluation.scores import ROUGE_CHINESE, scores_of
from tuneglm.evaluation.sets import EvaluatedSet, kept_sets
from tuneglm.generate import ChatModel
from tuneglm.models.encoder import load_encoder
from tuneglm.models.precision import Width
from tuneglm.original.command import command_line, overrides, say
from tuneglm.original.flags import FLAGS
from tuneglm.original.reading import Given
from tuneglm.original.result_files import write_metrics
from tuneglm.original.sections import Job
from tuneglm.original.translation import Translation
from tuneglm.packages import need
from tuneglm.reports.steps import Steps
from tuneglm.reports.terminal import console

PREDICTIONS = "generated_predictions.txt"
BATCH = 8  # the default of per_device_eval_batch_size
SCORES = ("bleu-4", *ROUGE_CHINESE)


def drawing_of(given: Given, longest: int) -> ChatConfig:
    """How answers are drawn: at most `longest` tokens where nobody says how many."""
    lengths = ("max_new_tokens", "generation_max_length", "max_length")
    length = next((given[name] for name in lengths if given.get(name)), longest)
    samples = given.get("do_sample", True)
    temperature = given.get("temperature", FLAGS["temperature"].default)
    values = {
        "max_new_tokens": length,
        "temperature": temperature if samples else 0,
        "top_p": given.get("top_p", FLAGS["top_p"].default),
        "repetition_penalty": given.get("repetition_penalty", FLAGS["repetition_penalty"].default),
        "seed": given.get("seed", 42),
    }
    return chat_config(values)


def judge(given: Given, translation: Translation, job: Job) -> None:
    """Write `JOB_results.json`, and with answers `generated_predictions.txt`."""
    answers = job == "predict" or bool(given.get("predict_with_generate"))
    if job == "predict" and given.get("predict_with_generate") is False:
        raise ConfigError("`--do_predict` is about answers.", "leave --predict_with_generate out")
    if answers:
        need("eval", "Scoring by BLEU and ROUGE")
    config = load_config(None, [*overrides(translation.settings), *translation.own])
    say(translation.remarks, _same(config, translation))
    encoder = load_encoder(config.model, config.data)
    sets = kept_sets(config, encoder.encoder)
    output = Path(given["output_dir"]).expanduser()
    batch = given.get("per_device_eval_batch_size", BATCH)
    drawing = drawing_of(given, config.data.max_target_length or config.data.cutoff)
    with writable(output):
        metrics = _judged(config, sets, output, drawing if answers else None, batch)
    write_metrics(output, job, {f"{job}_{name}": value for name, value in metrics.items()})
    for name, value in metrics.items():
        print(f"  {job}_{name} = {value:.4f}" if isinstance(value, float) else value)
    print(f"Saved  {output}")


def _judged(
    config: RunConfig,
    sets: Sequence[EvaluatedSet],
    output: Path,
    drawing: ChatConfig | None,
    batch: int,
) -> dict[str, Any]:
    rows = [row for each in sets for row in each.rows]
    chat = loaded(config)
    began = time.monotonic()
    with Steps(console()) as steps:
        with steps.step("loss", len(rows)) as tell:
            losses = losses_of(chat, rows, tell)
        metrics: dict[str, Any] = {"loss": sum(losses.sums) / max(1, sum(losses.tokens))}
        if drawing is not None:
            file = output / PREDICTIONS
            # of an earlier call, which may have been of another model
            file.unlink(missing_ok=True)
            with steps.step("answers", len(rows)) as tell:
                pairs = _answers(chat, sets, file, drawing, batch, tell)
            figures = scores_of([pair[0] for pair in pairs], [pair[1] for pair in pairs])
            for name in SCORES:
                metrics[name] = round(sum(figures[name]) / max(1, len(rows)), 4)
    seconds = time.monotonic() - began
    metrics["runtime"] = round(seconds, 4)
    metrics["samples_per_second"] = round(len(rows) / seconds, 3)
    return metrics


def _answers(
    chat: ChatModel,
    sets: Sequence[EvaluatedSet],
    file: Path,
    drawing: ChatConfig,
    batch: int,
    tell: Tell,
) -> list[Pair]:
    try:
        return write_answers(lambda: chat, sets, file, drawing, batch, tell)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"What was answered is in `{file}`; the same command begins anew."
        ) from None


def loaded(config: RunConfig) -> ChatModel:
    """The model that a translated command names, with its checkpoints."""
    model = config.model
    bits: Width | None = None if model.bits == "auto" else model.bits
    return ChatModel(
        model.path,
        family=model.family,
        dtype=model.dtype,
        bits=bits,
        adapters=model.adapters,
    )


def _same(config: RunConfig, translation: Translation) -> str:
    """`tuneglm evaluate` of the same model on the same sets."""
    model, sets = config.model, config.data.evaluation
    words = ["evaluate", model.path]
    words += [word for folder in model.adapters for word in ("--adapter", folder)]
    words += ["--data", *(str(entry.name or entry.path) for entry in sets)]
    limits = [entry.max_rows for entry in sets if entry.max_rows is not None]
    words += ["--rows", str(limits[0])] if limits else []
    words += ["--bits", str(model.bits)] if model.bits else []
    words += ["--dir", config.data.dir] if config.data.dir != "data" else []
    return command_line(words, translation.environment)
