"""The sets that `data.identity` brings, and how often the rows of each are met."""

import json
from pathlib import Path

from tuneglm.data.example_set import ExampleSet
from tuneglm.data.identity_files import CORRECTED_SET, IDENTITY_SETS, Answers, identity_files
from tuneglm.data_config import DataConfig, DatasetEntry, IdentityConfig
from tuneglm.errors import DataError

# of all rows of an identity at most those that correct its base, and each of them
# this many times as often as one that says who it is
CORRECTED_SHARE, MORE_OFTEN = 0.1, 6
OWN_SHARE = 0.5  # of an identity's rows those that say who it is; the others are on other things
NOT_YET_ASKED = (
    "The rows on other things have answers of ours here; a run puts those of its base in their "
    "place first, since data.identity.hold is set."
)


def identity_sets(
    identity: IdentityConfig, config: DataConfig, answers: Answers | None
) -> tuple[ExampleSet, ...]:
    """Rows that say who the model is, and those on other things, learnt or held."""
    own, others = identity_files(identity, Path(config.dir))
    name, other_name = IDENTITY_SETS
    if answers is None:
        held = "hold" if identity.hold else False
        entries = [(name, own, False, OWN_SHARE), (other_name, others, held, 1 - OWN_SHARE)]
    else:
        corrected = _corrected_share(own, answers.corrected)
        entries = [
            (name, own, False, OWN_SHARE),
            (other_name, answers.held, "hold", 1 - OWN_SHARE - corrected),
            *([(CORRECTED_SET, answers.corrected, False, corrected)] if corrected else []),
        ]
    sets = []
    for name, file, replay, part in entries:
        share = identity.share and identity.share * part
        known = {"path": str(file), "format": "alpaca", "share": share, "replay": replay}
        if name == CORRECTED_SET and share is None:
            known["max_rows"] = max(1, int(CORRECTED_SHARE * _count(own)))
        entry = DatasetEntry.model_validate(known)
        reading = NOT_YET_ASKED if file == others and identity.hold else ""
        sets.append(ExampleSet(name, f"path: {file}", file, entry, reading=reading))
    return tuple(sets)


def _corrected_share(own: Path, corrected: Path) -> float:
    """Of an identity's rows; 0 where its base says nothing wrong."""
    rows, others = _count(own), _count(corrected)
    return min(CORRECTED_SHARE, MORE_OFTEN * OWN_SHARE * others / rows)


def _count(file: Path) -> int:
    """Rows of a file that was written here."""
    try:
        return len(json.loads(file.read_text("utf-8")))
    except ValueError:
        raise DataError(
            f"`{file}` is not whole.", "remove it: it is written anew when it is missing"
        ) from None
