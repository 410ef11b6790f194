"""Every row of a set looked at, without a tokenizer: what is wrong, and a few numbers of each row.

Nothing stops a scan: what cannot be used is told to `found`, and reading goes on. A
row becomes one entry of an array, so a million of them are little memory.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tuneglm.data.doubts import DOUBT_BITS, describe_doubt, digest, doubts_of, marked, row_text
from tuneglm.data.encoded import Array
from tuneglm.data.example_set import ExampleSet, RowProblem, no_column, no_rows
from tuneglm.data.examples import ExampleSets, load_examples
from tuneglm.data.files import Notes, RawRow
from tuneglm.data.kinds import refuse_unseen_kinds
from tuneglm.data.language import languages
from tuneglm.data.messages import Example, Source
from tuneglm.data.near import HASHES, LOOKED_AT, sketches
from tuneglm.data.placeholders import placeholders_in, unfilled
from tuneglm.data.problems import MISSING
from tuneglm.data.unused import most, unused_in, unused_note
from tuneglm.data_config import DataConfig
from tuneglm.errors import DataError

BLOCK = 256
SCANNED = np.dtype(
    [
        ("text", "<u8"),
        ("line", "<u4"),
        ("number", "<u4"),
        ("file", "<u4"),
        ("kind", "<u4"),
        ("turns", "<u2"),
        ("language", "u1"),
        ("doubt", "u1"),
    ]
)

# of a run's data
_NOTHING: dict[str, object] = {"train": (), "evaluation": (), "identity": None}

Found = Callable[[RowProblem], None]
Tell = Callable[[str, int], None]  # name of a set, rows read so far


@dataclass(frozen=True, eq=False)
class ScannedSet:
    """A set's rows that can be used, and how many there are in all.

    stopped   why it could not be read to its end, if it could not
    table     (rows,) of SCANNED; `file` and `kind` count into `files` and `kinds`
    sketches  (rows, HASHES) of near.py; no rows where nobody asked for them
    """

    examples: ExampleSet
    read: int
    stopped: DataError | None
    table: Array
    files: tuple[str, ...]
    kinds: tuple[str, ...]
    sketches: Array

    @property
    def name(self) -> str:
        """The set's."""
        return self.examples.name

    def source(self, row: int) -> Source:
        """Where a row came from."""
        entry = self.table[row]
        return Source(
            self.name, self.files[entry["file"]], int(entry["line"]), int(entry["number"])
        )


class Scanner:
    """Scans one set; `wants_sketches` costs half of the time."""

    def __init__(self, examples: ExampleSet, found: Found, *, wants_sketches: bool) -> None:
        self.examples = examples
        self.found = found
        self.wants_sketches = wants_sketches
        self._read = 0
        self._stopped: DataError | None = None
        self._files: dict[str, int] = {}
        self._kinds: dict[str, int] = {"": 0}
        self._seen: set[str] = set()
        self._columns: list[str] = []
        self._placeholders: Counter[str] = Counter()
        self._unused: Counter[str] = Counter()
        self._waiting: Source | None = None
        self._tables: list[Array] = []
        self._sketches: list[Array] = []

    def scan(self, tell: Tell, notes: Notes) -> ScannedSet:
        """Read it to its end, or as far as it can be read."""
        for block in self._blocks(notes):
            self._look_at(block)
            self._read += len(block)
            tell(self.examples.name, self._read)
        notes += filter(None, [unused_note(self.examples, self._unused)])
        self._whole_set()
        return ScannedSet(
            self.examples,
            self._read,
            self._stopped,
            np.concatenate([*self._tables, np.zeros(0, SCANNED)]),
            tuple(self._files),
            tuple(self._kinds),
            np.concatenate([*self._sketches, np.zeros((0, HASHES), np.uint32)]),
        )

    def _blocks(self, notes: Notes) -> Iterator[list[RawRow]]:
        block: list[RawRow] = []
        broken: list[DataError] = []
        try:
            for row in self.examples.rows(notes, broken.append):
                block.append(row)
                if len(block) == BLOCK:
                    yield block
                    block = []
        except DataError as error:
            broken.append(error)
        if block:
            yield block
        for one in broken:
            self._stopped = self._stopped or one
            self.found(unreadable(one, self.examples.name, str(self.examples.file)))

    def _look_at(self, block: Sequence[RawRow]) -> None:
        entries: list[tuple[int, ...]] = []
        texts: list[str] = []
        wanted = self.examples.named_columns - self._seen
        self._unused = most(self._unused + unused_in(self.examples, block))
        for row in block:
            if wanted and isinstance(row.value, dict):
                self._columns = self._columns or list(row.value)
                self._seen |= wanted.intersection(row.value)
            one = self.examples.convert(row)
            if isinstance(one, RowProblem):
                self.found(one)
                continue
            text = row_text(one)
            if placeholders := placeholders_in(self.examples, one):
                self._placeholders.update(placeholders)
                self._waiting = self._waiting or one.source
            doubts = doubts_of(text)
            if doubts:
                self._doubt(one, doubts)
            file = self._files.setdefault(row.file, len(self._files))
            kind = self._kinds.setdefault(one.kind, len(self._kinds))
            turns = min(len(one.messages), 0xFFFF)
            numbers = (
                digest(marked(text, one)),
                row.line,
                row.number,
                file,
                kind,
                turns,
                0,
                doubts,
            )
            entries.append(numbers)
            texts.append("\n".join([message.content for message in one.messages])[:LOOKED_AT])
        table = np.array(entries, SCANNED)
        table["language"] = languages(texts)
        self._tables.append(table)
        if self.wants_sketches:
            self._sketches.append(sketches(texts))

    def _doubt(self, example: Example, doubts: int) -> None:
        assert example.source is not None
        for problem, bit in DOUBT_BITS.items():
            if doubts & bit:
                sentence, remedy = describe_doubt(problem, example)
                self.found(RowProblem(example.source, sentence, remedy, problem))

    def _whole_set(self) -> None:
        """What only the whole set shows."""
        waiting = unfilled(self.examples, self._placeholders, self._read)
        if waiting and self._waiting:
            sentence = f"{waiting[0]}, from here on, wait to be filled"
            remedy = f"fill it: {waiting[1]}"
            self.found(RowProblem(self._waiting, sentence, remedy, "placeholder"))
        first = Source(self.examples.name, str(self.examples.file), 1, 1)
        if self._stopped is None:
            self._rows_wanted(first)
        unseen = sorted(self.examples.named_columns - self._seen)
        # where no row can be used, each has said what it lacks
        if unseen and any(map(len, self._tables)):
            error = no_column(self.examples.file, unseen[0], self._columns)
            said = error.sentence[:-1], error.hint or "", "missing_column"
            self.found(RowProblem(first, *said, is_of_row=False))

    def _rows_wanted(self, first: Source) -> None:
        """That there are rows, and of each kind that the entry takes."""
        try:
            refuse_unseen_kinds(self.examples, self._kinds)
            if not self._read:
                raise no_rows(self.examples.file, ())
        except DataError as error:
            sentence = error.sentence.removesuffix(".")
            said = sentence, error.hint or "", "no_rows"
            self.found(RowProblem(first, *said, is_of_row=False))


def unreadable(error: DataError, name: str, file: str) -> RowProblem:
    """A file that cannot be read, or not further, in the words in which a run says it."""
    file, line, problem = error.at or (file, 1, "unreadable")
    sentence = error.sentence.removeprefix(f"`{file}:{line}`: ").rstrip(".")
    remedy = error.hint or ""
    if remedy.startswith("correct"):
        remedy += "; what stands behind it is not read"
    source = Source(name, file, line, line)
    return RowProblem(source, sentence, remedy, problem, is_of_row=False)


def sets_of(config: DataConfig, found: Found) -> ExampleSets:
    """The sets of a run; of several, one that cannot be read is a finding.

    A file or a set that is not there is a finding too, and raises DataError where it is the
    only one: there is nothing else to look at.
    """
    alone = [
        (entry, config.model_copy(update={**_NOTHING, side: (entry,)}))
        for side in ("train", "evaluation")
        for entry in getattr(config, side)
    ]
    loaded = []
    for entry, one in alone:
        try:
            loaded.append(load_examples(one))
        except DataError as error:
            name = entry.name or str(entry.path)
            found(unreadable(error, name, entry.path or name))
            if len(alone) == 1 and (error.at is None or error.at[2] == MISSING):
                raise
    if config.identity is not None or not alone:
        # without any, it says what is missing
        no_files = {**_NOTHING, "identity": config.identity}
        loaded.append(load_examples(config.model_copy(update=no_files)))
    notes = dict.fromkeys(note for one in loaded for note in one.notes)
    return ExampleSets(
        tuple(each for one in loaded for each in one.train),
        tuple(each for one in loaded for each in one.evaluation),
        tuple(notes),
    )
