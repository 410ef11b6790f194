"""From Examples to token ids with labels: the only place that decides what is trained.

    Examples ──mark──▶ trained or not, each message ──render──▶ ids ──shorten──▶ EncodedRows

A row over the cutoff is shortened as `data.over_cutoff` says, and never loses a
token that the format put there: the token that ends an answer is always learnt.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, Protocol

import numpy as np

from tuneglm.data.cutoff import Rule, fitted
from tuneglm.data.doubts import bare_digest, digest, doubts_of, marked, row_text
from tuneglm.data.encoded import ROW, SPECIAL, TRAINED, EncodedRows
from tuneglm.data.example_set import RowProblem
from tuneglm.data.history import History
from tuneglm.data.messages import Example, Message, Rendered, Source
from tuneglm.data_config import DataConfig
from tuneglm.errors import DataError

ROWS_AT_ONCE = 2048  # enough for a fast tokenizer's threads


class Render(Protocol):
    """A family's renderer with its tokenizer bound."""

    def __call__(
        self, examples: Sequence[Example], *, generation_prompt: bool = False
    ) -> list[Rendered]:
        """The rows that the model sees."""
        ...


def _as_it_is() -> None:
    """An encoder that has nothing to prepare."""


@dataclass(frozen=True)
class Encoder:
    """How Examples become tokens.

    name     tells it from every other one, tokenizer included
    prepare  called before very many rows, and before processes divide them
    """

    render: Render
    rule: Rule
    name: str
    prepare: Callable[[], None] = _as_it_is


def rule_of(config: DataConfig, answers_per_row: Literal["one", "all"]) -> Rule:
    """The rule of a run's `data` section, for a family."""
    source, target = config.max_source_length, config.max_target_length
    if source is None or target is None:
        return Rule(config.cutoff, config.over_cutoff, 0, 0, config.train_on, answers_per_row)
    return Rule(source + target, "source_target", source, target, config.train_on, answers_per_row)


@dataclass(frozen=True, eq=False)
class EncodedBlock:
    """Examples, encoded: the rows, and how many gave none.

    dropped    they do not fit into the cutoff
    untrained  they hold nothing to train
    left_out   all of these
    """

    rows: EncodedRows
    dropped: int
    untrained: int
    left_out: tuple[RowProblem, ...] = ()


Marks = tuple[int, int, int]  # digests of a row's text, whole and bare, and its doubts


@dataclass(slots=True)
class _Row:
    """A row on its way: its example, what it became, and how long that was at first."""

    example: Example
    marks: Marks
    rendered: Rendered
    full: int
    cut: bool = False


def encode_examples(examples: Sequence[Example], render: Render, rule: Rule) -> EncodedBlock:
    """Examples of one data set → rows of at most `rule.cutoff` tokens.

    With `answers_per_row` "one", each trained answer of a conversation becomes a
    row of its own.
    """
    growing = _Growing()
    left_out: list[RowProblem] = []
    wanted: list[tuple[Example, Marks]] = []
    for example in examples:
        decided = mark(example, rule.train_on)
        if not _trained(decided.messages):
            left_out.append(_untrained(example))
            continue
        text = row_text(example)
        marks = digest(marked(text, example)), bare_digest(text), doubts_of(text)
        rows = one_answer_each(decided) if rule.answers_per_row == "one" else [decided]
        wanted.extend((row, marks) for row in rows)
    for row in _shortened(wanted, render, rule):
        rendered = fitted(row.rendered, rule)
        if rendered is None:
            left_out.append(_left_out(row.example, rule))
        elif 1 not in rendered.trained:
            left_out.append(_untrained(row.example))
        else:
            growing.add(row, rendered)
    dropped = sum(one.problem == "left_out" for one in left_out)
    return EncodedBlock(growing.rows(), dropped, len(left_out) - dropped, tuple(left_out))


def _left_out(example: Example, rule: Rule) -> RowProblem:
    sentence = f"the row does not fit: {rule.limit}"
    return RowProblem(
        _source(example), sentence, f"{rule.remedy}, or shorten its prompt", "left_out"
    )


def _untrained(example: Example) -> RowProblem:
    sentence, remedy = "nothing of the row is trained", "it needs an answer that is trained"
    return RowProblem(_source(example), sentence, remedy, "untrained")


def _source(example: Example) -> Source:
    return example.source or Source("", "", 0, 0)


def encode_usable(
    examples: Sequence[Example], render: Render, rule: Rule
) -> tuple[EncodedBlock, list[RowProblem]]:
    """As `encode_examples`; rows for which the renderer has no place come back as problems."""
    try:
        return encode_examples(examples, render, rule), []
    except DataError as error:
        refused = dict(_refused(examples, error, render, rule))
    good = [example for number, example in enumerate(examples) if number not in refused]
    return encode_examples(good, render, rule), list(refused.values())


def _refused(
    examples: Sequence[Example], error: DataError, render: Render, rule: Rule, first: int = 0
) -> Iterator[tuple[int, RowProblem]]:
    """(number, what is wrong) of those with no place in the prompt, found by bisection.

    `error` is what they raise together; the first of them has the number `first`.
    """
    if len(examples) == 1:
        yield first, _not_rendered(examples[0], error)
        return
    half = len(examples) // 2
    for start, part in ((0, examples[:half]), (half, examples[half:])):
        try:
            encode_examples(part, render, rule)
        except DataError as one:
            yield from _refused(part, one, render, rule, first + start)


def _not_rendered(example: Example, error: DataError) -> RowProblem:
    source = _source(example)
    sentence = error.sentence.replace(f" ({source})", "").removesuffix(".")
    return RowProblem(source, sentence, error.hint or "leave the row out", "not_rendered")


class _Growing:
    """Rows on their way into flat arrays."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.trained, self.special = bytearray(), bytearray()
        self.table: list[tuple[int, ...]] = []
        self.dataset = ""
        self.files: dict[str, int] = {}
        self.kinds: dict[str, int] = {"": 0}

    def add(self, row: _Row, rendered: Rendered) -> None:
        """One more row, as it was left by the cutoff."""
        self.ids += rendered.ids
        self.trained += rendered.trained
        self.special += rendered.special
        source = _source(row.example)
        self.dataset = source.dataset
        file = self.files.setdefault(source.file, len(self.files))
        kind = self.kinds.setdefault(row.example.kind, len(self.kinds))
        shortened = rendered is not row.rendered
        trained = rendered.trained.count(1)
        answer_cut = shortened and trained < row.rendered.trained.count(1)
        text, bare, doubt = row.marks
        self.table.append(
            (
                *(len(self.ids), text, bare, source.line, source.row, file, kind),
                *(trained, row.full, doubt, row.cut or shortened, answer_cut),
            )
        )

    def rows(self) -> EncodedRows:
        """What was added."""
        trained = np.frombuffer(self.trained, np.uint8)
        special = np.frombuffer(self.special, np.uint8)
        return EncodedRows(
            np.array(self.ids, np.int32),
            trained * np.uint8(TRAINED) + special * np.uint8(SPECIAL),
            np.array(self.table, ROW),
            self.dataset,
            tuple(self.files),
            tuple(self.kinds),
        )


def mark(example: Example, train_on: Literal["all", "last"]) -> Example:
    """Every answer's `trained` decided; what follows the last trained one is left out.

    A message's own `trained` wins over the run's rule.
    """
    messages = list(example.messages)
    answers = [i for i, message in enumerate(messages) if message.role == "assistant"]
    last = len(messages) - 1
    for i in answers:
        message = messages[i]
        if message.trained is None:
            by_rule = train_on == "all" or i == answers[-1]
            messages[i] = message.with_trained(by_rule)
        if messages[i].trained:
            last = i
    return example.with_messages(messages[: last + 1])


def one_answer_each(example: Example) -> list[Example]:
    """A row for each trained answer: the messages up to it, of which it alone is trained."""
    if len(_trained(example.messages)) == 1:
        return [example]
    context = [
        message.with_trained(False) if message.role == "assistant" else message
        for message in example.messages
    ]
    return [
        example.with_messages([*context[:answer], example.messages[answer]])
        for answer in _trained(example.messages)
    ]


def _trained(messages: Sequence[Message]) -> list[int]:
    """Positions of the trained answers."""
    return [
        i for i, message in enumerate(messages) if message.role == "assistant" and message.trained
    ]


def _shortened(
    examples: Sequence[tuple[Example, Marks]], render: Render, rule: Rule
) -> Iterator[_Row]:
    """Each example rendered, without its oldest exchanges where it is over the cutoff.

    How many go is found by bisection, in rounds over many rows: a fast tokenizer wants them
    together, and a conversation of hundreds of turns would be rendered as often.
    """
    loses_history = rule.over_cutoff in ("truncate_start", "source_target")
    remaining = iter(examples)
    while batch := list(islice(remaining, ROWS_AT_ONCE)):
        rendered = render([example for example, _ in batch])
        rows = [
            _Row(example, marks, row, len(row))
            for (example, marks), row in zip(batch, rendered, strict=True)
        ]
        long = [row for row in rows if loses_history and _is_long(row.rendered, rule)]
        histories = [History(row.example) for row in long]
        while waiting := [each for each in histories if not each.is_settled]:
            tried = render([each.next_try() for each in waiting])
            for each, rendering in zip(waiting, tried, strict=True):
                each.judge(rendering, _is_long(rendering, rule))
        for row, history in zip(long, histories, strict=True):
            if history.shortened is not None:
                row.example, row.rendered = history.shortened
                row.cut = True
        yield from rows


def _is_long(rendered: Rendered, rule: Rule) -> bool:
    if rule.over_cutoff == "source_target":
        trained = rendered.trained.count(1)
        return len(rendered) - trained > rule.source or trained > rule.target
    return len(rendered) > rule.cutoff
