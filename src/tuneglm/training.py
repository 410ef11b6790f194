"""train(config): the main path.

RunConfig → folder, tokenizer, examples, model → method → stage → Trainer → result
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments, set_seed

from tuneglm.allocation import bound_kernels, give_large_blocks_back
from tuneglm.base_answers import is_asked, known_answers, write_answers
from tuneglm.base_model import base_model
from tuneglm.checkpoints import (
    Output,
    as_begun,
    check_output,
    claimed,
    library_as_begun,
    refuse_taken,
    save_result,
    writing,
)
from tuneglm.config import RunConfig
from tuneglm.data.batches import Batches, batches
from tuneglm.data.encode import Encoder
from tuneglm.data.examples import ExampleSets, load_examples
from tuneglm.data.identity_files import Answers
from tuneglm.data.pipeline import EncodedData, encode_data
from tuneglm.data.stream import StreamedRows, StreamedSet
from tuneglm.errors import ConfigError
from tuneglm.frozen_states import forget_frozen_states, keep_frozen_states
from tuneglm.generate import ChatModel
from tuneglm.interruption import SaveOnInterrupt
from tuneglm.manifest import Course
from tuneglm.methods import check_method, tune
from tuneglm.methods.start import continue_last, merged_adapters
from tuneglm.model_card import CARD_FILE, run_card, used_sets
from tuneglm.models import family_of
from tuneglm.models.adapters import is_adapter
from tuneglm.models.bases import write_base
from tuneglm.models.chain import write_chain
from tuneglm.models.encoder import encoder_of
from tuneglm.models.loading import load_tokenizer, model_folder
from tuneglm.models.products import by_onednn, go_on_with
from tuneglm.models.undivided import undivided
from tuneglm.models.weights import weight_files, weights_fingerprint
from tuneglm.plan.bits import with_bits
from tuneglm.plan.capacity import enough_memory, forget_peak
from tuneglm.plan.planned_step import step_of
from tuneglm.plan.planning import bits_that_fit, check_memory
from tuneglm.plan.records import Foreseen
from tuneglm.plan.step import Step
from tuneglm.probing import Probing, probes_of
from tuneglm.processes import agreed
from tuneglm.processors import use_threads
from tuneglm.reports.closing import print_closing
from tuneglm.reports.data import EncodingProgress, print_data, print_streamed
from tuneglm.reports.run import (
    CHART_FILE,
    Progression,
    TrainingResult,
    draw_chart,
    print_start,
    print_summary,
)
from tuneglm.reports.terminal import console
from tuneglm.reports.trackers import print_trackers, tracked
from tuneglm.run_summary import closing_of, items_a_step, result_of, row_count, summary_of
from tuneglm.stages import STAGES
from tuneglm.stages.arguments import training_arguments
from tuneglm.stages.averaging import Average
from tuneglm.stages.patience import Patience
from tuneglm.stages.sharing import check_average, check_sharing, sharing_of
from tuneglm.stages.trainer import StageTrainer

# written by the libraries beside a result, and part of none; the model card is ours
NOT_RESULTS = ("training_args.bin", CARD_FILE)


@contextmanager
def without_denormals() -> Iterator[None]:
    """Numbers next to zero are zero: attention weights too small to matter.

    A processor computes them up to ten times as slowly; whoever calls is given the numbers back.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@without_denormals()
@enough_memory()
def train(config: RunConfig) -> TrainingResult:
    """Tune a model as `config` says; the result in `training.output_dir` loads by that one path.

    Raises UserError for whatever in the config, the files or the folder is wrong,
    before the first step where it can be known.
    """
    refuse_taken(config)
    give_large_blocks_back()
    bound_kernels()
    use_threads()
    terminal = console()
    folder = model_folder(config.model)
    family = family_of(folder, config.model.family)
    check_method(config, folder, family)
    # that they are there is known at once, and reading rows takes its time
    weight_files(folder)
    tokenizer = load_tokenizer(folder, family=family.name)
    probes = probes_of(config)
    encoder = encoder_of(config.data, tokenizer, family)
    answers = known_answers(config, folder)
    sets, data, arguments, given = _prepared(terminal, config, encoder, answers)
    # the first of several processes measures, the others read what it found
    go_on_with(agreed(partial(library_as_begun, config)))
    agreed(by_onednn)
    check_sharing(config, sharing_of(arguments), folder)
    check_average(config, arguments)
    config = as_begun(config)
    step = step_of(config, folder, family, arguments, given, arguments.device)
    config, memory = _planned(terminal, config, step)
    if is_asked(config):
        written = write_answers(terminal, config, folder, family, tokenizer, arguments)
        if written != answers:
            sets, data, arguments, given = _prepared(terminal, config, encoder, written)
    rows, held = data.train, data.evaluation
    course = Course(
        rows.fingerprint,
        items_a_step(arguments),
        arguments.world_size,
        weights_fingerprint(folder),
        by_onednn(),
    )
    output = agreed(partial(check_output, config, course))
    arguments.output_dir = str(output.folder)
    if config.data.tokens_at_once is not None:
        given = replace(given, at_once=config.data.tokens_at_once)
    set_seed(arguments.seed)
    with undivided():
        model = base_model(config, folder, family, arguments)
        tuned = tune(model, config.method, family)
        continue_last(tuned, config, family)
    # the pages of files that were read are the system's, which drops them where memory is short
    forget_peak(arguments.device)
    trainer = STAGES[config.stage.name](tuned, tokenizer, given, arguments, config.stage)
    trainer.course = course
    if trainer.is_world_process_zero():
        print_data(terminal, data)
        summary = summary_of(config, family, trainer, given, rows)
        print_summary(terminal, summary, rows, held)
        print_start(terminal, output)
    progression, interrupt = Progression(terminal, output.folder), SaveOnInterrupt()
    chat = ChatModel.around(tuned.model, tokenizer, family)
    probing = Probing(terminal, config.probe, probes, chat, trainer)
    _listen(trainer, progression, probing, interrupt, *_asked_for(config, trainer))
    with _held_open(terminal, config, output, trainer):
        keep_frozen_states(terminal, config, trainer, output)
        try:
            trainer.train(
                resume_from_checkpoint=str(output.checkpoint) if output.checkpoint else None
            )
        finally:
            progression.close()
            interrupt.release()
        if isinstance(rows, StreamedSet) and trainer.is_world_process_zero():
            print_streamed(terminal, rows, data.notes)
        if interrupt.stopped_by is None:
            asked = probing.finish()
            used = used_sets(sets.train, rows.sets)
            card = partial(run_card, config, family.name, used, asked)
            # before the result, beside which nothing is cleared up any more
            forget_frozen_states(trainer, output.folder)
            _save(trainer, output.folder, progression, card, merged_adapters(config.model))
            trainer.leave_best()
    result = result_of(output.folder, trainer, progression, interrupt.stopped_by)
    if trainer.is_world_process_zero():
        planned = None if memory is None else memory.peak
        closing = closing_of(config, trainer, progression, planned, learnt=probing.is_learnt)
        print_closing(terminal, result, closing)
    return result


def _prepared(
    terminal: Console, config: RunConfig, encoder: Encoder, answers: Answers | None
) -> tuple[ExampleSets, EncodedData, TrainingArguments, Batches]:
    """The run's rows, encoded and in batches, and the Trainer's arguments."""
    sets = load_examples(config.data, answers)
    with EncodingProgress(terminal) as tell:
        data = encode_data(sets, encoder, config.data, tell)
    rows, held = data.train, data.evaluation
    arguments = training_arguments(config, evaluates=held is not None, rows=row_count(rows))
    given = batches(config.data, rows.rows, None if held is None else held.rows)
    _refuse_no_steps(arguments, given)
    return sets, data, arguments, given


def _planned(terminal: Console, config: RunConfig, step: Step) -> tuple[RunConfig, Foreseen | None]:
    """The run with its bits and portions chosen, and the memory that it will take; all is said."""
    says = step.arguments.process_index == 0
    if config.model.bits == "auto":
        bits, why = agreed(partial(bits_that_fit, step))
        config = with_bits(config, bits)
        step = replace(step, config=config)
        if says:
            terminal.print(f"Bits     {bits}: {why}")
    memory = agreed(partial(check_memory, step))
    if memory is not None and says:
        terminal.print(f"Memory   {memory.words}")
    if memory is not None and memory.at_once is not None:
        # in the run's file, where it finds them when it goes on
        data = config.data.model_copy(update={"tokens_at_once": memory.at_once})
        config = config.model_copy(update={"data": data})
    return config, memory


def _listen(trainer: Trainer, *callbacks: TrainerCallback) -> None:
    """Ours in place of the one that prints a line of numbers."""
    trainer.remove_callback(PrinterCallback)
    for callback in callbacks:
        trainer.add_callback(callback)


def _asked_for(config: RunConfig, trainer: StageTrainer) -> Iterator[TrainerCallback]:
    """What a run does beside training only where its config says so."""
    if config.patience is not None:
        yield Patience(config.patience)
    if config.average is not None:
        trainer.average = Average(trainer.tuned.model, config.average)
        yield trainer.average


@contextmanager
def _held_open(
    terminal: Console, config: RunConfig, output: Output, trainer: StageTrainer
) -> Iterator[None]:
    """The output folder, of which this run is the only one, and the trackers' runs."""
    with ExitStack() as open_ones:
        if trainer.is_world_process_zero():
            open_ones.enter_context(claimed(config, output))
        open_ones.enter_context(writing(output.folder))
        if trainer.is_world_process_zero():
            print_trackers(terminal, open_ones.enter_context(tracked(config, output, trainer)))
        yield


def _refuse_no_steps(arguments: TrainingArguments, given: Batches) -> None:
    if isinstance(given.train, StreamedRows):
        return
    items = len(given.train)
    batch = arguments.train_batch_size * arguments.world_size
    if arguments.dataloader_drop_last and items < batch:
        raise ConfigError(
            f"There is no step to train: {items} rows or packs do not fill one batch of "
            f"{batch}, and training.dataloader_drop_last leaves the last one out.",
            "leave it out, or lower training.per_device_train_batch_size",
        )


def _save(
    trainer: StageTrainer,
    folder: Path,
    progression: Progression,
    card: Callable[..., str],
    merged: Sequence[Path],
) -> None:
    """Adapter or weights, tokenizer, the picture of the loss and the model card."""

    weights = trainer.whole_weights()

    def save(unfinished: Path) -> None:
        trainer.write_result(unfinished, weights)
        for name in NOT_RESULTS:
            (unfinished / name).unlink(missing_ok=True)
        if is_adapter(unfinished):
            write_chain(unfinished, merged)
            write_base(unfinished)
        text = card(adapter=is_adapter(unfinished))
        (unfinished / CARD_FILE).write_text(text, encoding="utf-8")
        draw_chart(
            unfinished / CHART_FILE, progression.curve("loss"), progression.curve("eval_loss")
        )

    if trainer.is_world_process_zero():
        save_result(folder, save)
