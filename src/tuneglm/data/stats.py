"""`tuneglm data stats`: how much each set of a run holds, in which languages, of what kind."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from tuneglm.data.doubts import used_rows
from tuneglm.data.encode import Encoder
from tuneglm.data.encoded import Array, EncodedRows
from tuneglm.data.example_set import ExampleSet
from tuneglm.data.examples import load_examples
from tuneglm.data.kinds import refuse_unseen_kinds
from tuneglm.data.language import LANGUAGES
from tuneglm.data.lengths import given_rows
from tuneglm.data.pipeline import encode_set
from tuneglm.data.scan import ScannedSet, Scanner, Tell
from tuneglm.data_config import DataConfig


@dataclass(frozen=True)
class SetStats:
    """What a set gives before it is mixed; under `bad_rows: skip` without doubtful rows.

    rows            that can be used; with a model, of which something is trained
    unusable        all others
    tokens, trained_tokens  as they are trained, cut to the cutoff; None without a model
    cut             rows of which the cutoff left something out
    turns           messages in all, and in the longest row
    languages       each of LANGUAGES → rows
    kinds           what the set itself calls its rows → rows
    """

    name: str
    rows: int
    unusable: int
    tokens: int | None
    trained_tokens: int | None
    cut: int | None
    turns: int
    most_turns: int
    languages: Mapping[str, int]
    kinds: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


@dataclass(frozen=True)
class Stats:
    """What all sets give; `notes` are sentences for the person at the terminal."""

    sets: tuple[SetStats, ...]
    notes: tuple[str, ...]


def stats(config: DataConfig, encoder: Encoder | None, tell: Tell = lambda _, __: None) -> Stats:
    """Figures of each set of a run; raises DataError for one that cannot be read."""
    loaded = load_examples(config)
    sets, notes = (*loaded.train, *loaded.evaluation), [*loaded.notes, *loaded.readings]
    scanned = [
        Scanner(examples, lambda _: None, wants_sketches=False).scan(tell, notes)
        for examples in sets
    ]
    for each in scanned:
        if each.stopped is not None:
            raise each.stopped
        refuse_unseen_kinds(each.examples, each.kinds)
    used = used_rows([each.table for each in scanned], [each.files for each in scanned], config)
    if encoder is None:
        nothing = None, None, None
        found = [_figures(*each, nothing) for each in zip(scanned, used, strict=True)]
    else:
        encoded = _encoded(sets, encoder, config, tell)
        found = [_with_tokens(*each) for each in zip(scanned, used, encoded, strict=True)]
    return Stats(tuple(found), tuple(dict.fromkeys(notes)))


def _encoded(
    sets: Sequence[ExampleSet], encoder: Encoder, config: DataConfig, tell: Tell
) -> list[tuple[EncodedRows, Array]]:
    """For each set the rows for the model, and (rows,) of bool: used."""
    skipping = config.model_copy(update={"bad_rows": "skip"})
    encoded = [encode_set(examples, encoder, skipping, tell)[0] for examples in sets]
    used = used_rows([rows.rows for rows in encoded], [rows.files for rows in encoded], config)
    return list(zip(encoded, used, strict=True))


def _with_tokens(scanned: ScannedSet, used: Array, encoded: tuple[EncodedRows, Array]) -> SetStats:
    rows = encoded[0]
    there = given_rows(scanned, rows)
    scanned = replace(scanned, table=scanned.table[there])
    return _figures(scanned, used[there], _sums(*encoded))


def _sums(rows: EncodedRows, chosen: Array) -> tuple[int, int, int]:
    columns = rows.lengths, rows.trained_lengths, rows.cut
    tokens, trained, cut = (int(column[chosen].sum()) for column in columns)
    return tokens, trained, cut


def _figures(
    scanned: ScannedSet, used: Array, tokens: tuple[int | None, int | None, int | None]
) -> SetStats:
    table = scanned.table[used]
    languages = np.bincount(table["language"], minlength=len(LANGUAGES))
    kinds = np.bincount(table["kind"], minlength=len(scanned.kinds))
    named = {kind: int(count) for kind, count in zip(scanned.kinds, kinds, strict=True) if kind}
    return SetStats(
        name=scanned.name,
        rows=len(table),
        unusable=scanned.read - len(scanned.table),
        tokens=tokens[0],
        trained_tokens=tokens[1],
        cut=tokens[2],
        turns=int(table["turns"].sum(dtype=np.int64)),
        most_turns=int(table["turns"].max(initial=0)),
        languages={name: int(count) for name, count in zip(LANGUAGES, languages, strict=True)},
        kinds=dict(sorted(named.items(), key=lambda pair: -pair[1])),
    )
