"""train(config): the main path.

    RunConfig → folder, tokenizer, examples, model → method → stage → Trainer → result
"""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, Trainer, set_seed

from tuneglm.checkpoints import SaveOnInterrupt, open_output, save_result, writing
from tuneglm.config import RunConfig
from tuneglm.data.encode import EncodedSet, encode_examples
from tuneglm.data.messages import Example
from tuneglm.data.registry import load_examples
from tuneglm.methods import METHODS
from tuneglm.models import family_of
from tuneglm.models.family import Family
from tuneglm.models.loading import load_model, load_tokenizer, model_folder
from tuneglm.report import (
    CHART_FILE,
    Progression,
    Summary,
    console,
    draw_chart,
    print_data,
    print_summary,
    size_text,
)
from tuneglm.stages import STAGES
from tuneglm.stages.arguments import training_arguments

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """What a run leaves.

    finished  False when Ctrl-C stopped it: the same command goes on
    loss, evaluation_loss  the last ones, None where there is none
    """

    folder: Path
    finished: bool
    steps: int
    loss: float | None
    evaluation_loss: float | None


def train(config: RunConfig) -> TrainingResult:
    """Tune a model as `config` says; the result in `training.output_dir` loads by that one path.

    Raises UserError for whatever in the config, the files or the folder is wrong,
    before the first step where it can be known.
    """
    terminal = console()
    folder = model_folder(config.model)
    family = family_of(folder, config.model.family)
    tokenizer = load_tokenizer(folder, family=family.name)
    examples = load_examples(config.data)
    rows = _encoded(config, examples.train, tokenizer, family)
    held = _encoded(config, examples.evaluation, tokenizer, family) if examples.evaluation else None
    arguments = training_arguments(config, evaluates=held is not None)
    set_seed(arguments.seed)
    model = _base(config, folder, family, arguments)
    model = METHODS[config.method.name].apply(model, config.method, family)
    output = open_output(config)
    trainer = STAGES[config.stage.name](model, tokenizer, rows, held, arguments)
    if trainer.is_world_process_zero():
        print_data(terminal, examples, rows)
        print_summary(terminal, _summary(config, family, trainer, len(rows.rows)), rows, held)
    progression, interrupt = Progression(terminal, output.folder), SaveOnInterrupt()
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(progression)
    trainer.add_callback(interrupt)
    with writing(output.folder):
        try:
            trainer.train(resume_from_checkpoint=output.checkpoint and str(output.checkpoint))
        finally:
            progression.close()
            interrupt.release()
        if not interrupt.interrupted:
            _save(trainer, output.folder, progression)
    return _close(terminal, output.folder, trainer, progression, not interrupt.interrupted)
