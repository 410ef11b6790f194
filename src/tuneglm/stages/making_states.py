"""The states of a run's rows, made before its first step: the content of a file of kept states.

Rows go through the frozen layers in the order of their sets, and as many at once as one number
says, whatever the run's batches are and wherever it was stopped: who makes them anew makes the
same bits.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
import transformers
from torch import Tensor, nn

from tuneglm.data.collate import NO_PLACE, PLACES, REPLAY
from tuneglm.data.encoded import Encoded, MixedRows
from tuneglm.data.fingerprint import fingerprint
from tuneglm.manifest import UNFINISHED, flush, publish
from tuneglm.models.frozen import frozen_below, states_below
from tuneglm.models.products import EVEN, by_onednn
from tuneglm.models.quantization import held_bits
from tuneglm.stages.kept_states import STATES_FILE, About
from tuneglm.stages.portions import ROW_LENGTHS, evened
from tuneglm.stages.trainer import StageTrainer
from tuneglm.stages.watch import SOURCES

# tokens at once, whatever a plan finds room for: their number is in the bits
AT_ONCE = {"cpu": 512, "cuda": 2048}

Inputs = Mapping[str, Tensor]


@contextmanager
def undisturbed(trainer: StageTrainer) -> Iterator[None]:
    """Within it random numbers may be drawn, and the model be set to train or not."""
    model = trainer.tuned.model
    was_training = model.training
    with torch.random.fork_rng():
        try:
            yield
        finally:
            model.train(was_training)


def about_states(trainer: StageTrainer, once: MixedRows) -> About:
    """Of the file that `write_states` makes, all but its check."""
    states = states_of(trainer, first_group(trainer, once))
    dtype = str(states.dtype).removeprefix("torch.")
    key = _key_of(trainer, once)
    return About(key, int(once.lengths.sum()), states.shape[-1], dtype)


def write_states(
    trainer: StageTrainer,
    once: MixedRows,
    about: About,
    place: Path,
    tell: Callable[[int], None] = lambda _: None,
) -> About:
    """Make the folder `place` with the states of all rows; `tell` hears how many are done.

    It is there when it is whole. Raises OSError where it cannot be written: then nothing is left.
    """
    unfinished = place.parent / UNFINISHED
    made = unfinished / place.name
    try:
        made.mkdir(parents=True)
        with (made / STATES_FILE).open("wb") as file:
            done = 0
            for group in _groups(trainer, once):
                content = _bytes_of(states_of(trainer, group))
                file.write(content)
                about = replace(about, check=crc32(content, about.check))
                done += len(group)
                tell(done)
        about.write(made)
        flush(made)
        publish(made, place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return about


def first_group(trainer: StageTrainer, once: MixedRows) -> list[Encoded]:
    """The rows that go through the layers first."""
    return next(_groups(trainer, once))


def groups_of(lengths: Sequence[int], tokens: int, *, packed: bool) -> Iterator[list[int]]:
    """Numbers of rows that go together: neighbours, of so many tokens, padding included."""
    group: list[int] = []
    longest = total = 0
    for number, length in enumerate(lengths):
        longest, total = max(longest, length), total + length
        if group and (total if packed else longest * (len(group) + 1)) > tokens:
            yield group
            group, longest, total = [], length, length
        group.append(number)
    if group:
        yield group


def states_of(trainer: StageTrainer, rows: Sequence[Encoded], *, training: bool = False) -> Tensor:
    """(tokens, hidden) of rows that know their places, as the frozen layers hand them on."""
    model = trainer.tuned.model
    inputs = evened(batch_of(trainer, rows), EVEN.get(trainer.args.device.type, 1))
    model.train(training)
    with torch.set_grad_enabled(training), trainer.accelerator.autocast():
        states = states_below(model, frozen_below(model), for_network(inputs))
    return states[is_of_row(inputs)]


def batch_of(trainer: StageTrainer, rows: Sequence[Encoded]) -> dict[str, Tensor]:
    """Rows as a batch of training on the run's device, without what is for other stages."""
    collate: Any = trainer.data_collator
    batch: dict[str, Any] = collate(rows)
    for name in (SOURCES, REPLAY):
        batch.pop(name, None)
    return {name: each.to(trainer.args.device) for name, each in batch.items()}


def for_network(inputs: Inputs) -> dict[str, Tensor]:
    """What of a batch the network is given."""
    return {name: each for name, each in inputs.items() if name not in ("labels", PLACES)}


def is_of_row(inputs: Inputs) -> Tensor:
    """(rows, tokens): what is a row's token, and no padding."""
    return inputs[PLACES] != NO_PLACE


def _groups(trainer: StageTrainer, once: MixedRows) -> Iterator[list[Encoded]]:
    packed = _is_packed(trainer, once)
    for group in groups_of(once.lengths.tolist(), _at_once(trainer), packed=packed):
        yield [once[number] for number in group]


def _is_packed(trainer: StageTrainer, once: MixedRows) -> bool:
    return ROW_LENGTHS in batch_of(trainer, [once[0]])


def _at_once(trainer: StageTrainer) -> int:
    return AT_ONCE.get(trainer.args.device.type, AT_ONCE["cuda"])


def _bytes_of(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data


def _key_of(trainer: StageTrainer, once: MixedRows) -> str:
    """A digest of all that the states' bits depend on."""
    model = trainer.tuned.model
    parts = {
        "weights": list(_weights_of(model)),
        "config": model.config.to_json_string(),
        "rows": fingerprint(once),
        "layers": len(frozen_below(model)),
        "bits": held_bits(model),
        "computed in": trainer.accelerator.mixed_precision,
        "attention": model.config._attn_implementation,
        "at once": [_is_packed(trainer, once), _at_once(trainer)],
        "device": [trainer.args.device.type, by_onednn()],
        "versions": [torch.__version__, transformers.__version__],
    }
    return blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def _weights_of(model: nn.Module) -> Iterator[tuple[str, int]]:
    """(name, CRC-32) of whatever is not trained, with what bits need beside it."""
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    for name, each in model.state_dict().items():
        if name not in trained and isinstance(each, Tensor):
            yield name, crc32(_bytes_of(each))
