"""From Examples to token ids with labels: the only place that decides what is trained.

    Examples ──mark──▶ trained or not, each message ──render──▶ ids ──shorten──▶ EncodedRows

A row over the cutoff is shortened as `data.over_cutoff` says, and never loses a
token that the format put there: the token that ends an answer is always learnt.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Literal, Protocol

import numpy as np

from tuneglm.config import DataConfig, OverCutoff
from tuneglm.data.doubts import bare_digest, digest, doubts_of, row_text
from tuneglm.data.encoded import ROW, SPECIAL, TRAINED, EncodedRows
from tuneglm.data.examples import RowProblem
from tuneglm.data.messages import Example, Message, Rendered, Source
from tuneglm.errors import DataError

ROWS_AT_ONCE = 2048  # enough for a fast tokenizer's threads


# problem → (sentence, remedy)
LEFT_OUT = {
    "left_out": (
        "the row does not fit into data.cutoff",
        "raise data.cutoff, or shorten its prompt",
    ),
    "untrained": ("nothing of the row is trained", "it needs an answer that is trained"),
}


class Render(Protocol):
    """A family's renderer with its tokenizer bound."""

    def __call__(
        self, examples: Sequence[Example], *, generation_prompt: bool = False
    ) -> list[Rendered]:
        """The rows that the model sees."""
        ...


@dataclass(frozen=True)
class Rule:
    """How an Example becomes tokens: all that changes the result beside tokenizer and renderer.

    cutoff           longest row
    over_cutoff      what a longer one loses, see `DataConfig.over_cutoff`
    source, target   longest prompt and longest answer, for `source_target`
    train_on         every answer, or the last one only
    answers_per_row  see `Family.answers_per_row`
    """

    cutoff: int = 1024
    over_cutoff: OverCutoff | Literal["source_target"] = "truncate_start"
    source: int = 0
    target: int = 0
    train_on: Literal["all", "last"] = "all"
    answers_per_row: Literal["one", "all"] = "all"


@dataclass(frozen=True)
class Encoder:
    """How Examples become tokens; `name` tells it from every other one, tokenizer included."""

    render: Render
    rule: Rule
    name: str


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
        marked = mark(example, rule.train_on)
        if not _trained(marked.messages):
            left_out.append(_left_out(example, "untrained"))
            continue
        text = row_text(example)
        marks = digest(text), bare_digest(text), doubts_of(text)
        rows = one_answer_each(marked) if rule.answers_per_row == "one" else [marked]
        wanted.extend((row, marks) for row in rows)
    for row in _shortened(wanted, render, rule):
        rendered = _fitted(row.rendered, rule)
        if rendered is None:
            left_out.append(_left_out(row.example, "left_out"))
        elif True not in rendered.trained:
            left_out.append(_left_out(row.example, "untrained"))
        else:
            growing.add(row, rendered)
    dropped = sum(one.problem == "left_out" for one in left_out)
    return EncodedBlock(growing.rows(), dropped, len(left_out) - dropped, tuple(left_out))


def _left_out(example: Example, problem: str) -> RowProblem:
    sentence, remedy = LEFT_OUT[problem]
    return RowProblem(example.source or Source("", "", 0, 0), sentence, remedy, problem)


def encode_usable(
    examples: Sequence[Example], render: Render, rule: Rule
) -> tuple[EncodedBlock, list[RowProblem]]:
    """As `encode_examples`; rows for which the renderer has no place come back as problems."""
    try:
        return encode_examples(examples, render, rule), []
    except DataError:
        pass
    # one of them it was: which, is found by trying each
    good: list[Example] = []
    problems: list[RowProblem] = []
    for example in examples:
        try:
            encode_examples([example], render, rule)
        except DataError as error:
            problems.append(_not_rendered(example, error))
        else:
            good.append(example)
    return encode_examples(good, render, rule), problems


def _not_rendered(example: Example, error: DataError) -> RowProblem:
    source = example.source or Source("", "", 0, 0)
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
        self.trained += bytes(rendered.trained)
        self.special += bytes(rendered.special)
        source = row.example.source or Source("", "", 0, 0)
        self.dataset = source.dataset
        file = self.files.setdefault(source.file, len(self.files))
        kind = self.kinds.setdefault(row.example.kind, len(self.kinds))
        shortened = rendered is not row.rendered
        trained = rendered.trained.count(True)
        answer_cut = shortened and trained < row.rendered.trained.count(True)
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


def _fitted(rendered: Rendered, rule: Rule) -> Rendered | None:
    """The row within the rule's limits; None where it cannot be."""
    if rule.over_cutoff == "source_target":
        return cut_each(rendered, rule.source, rule.target)
    if len(rendered) <= rule.cutoff:
        return rendered
    if rule.over_cutoff == "drop":
        return None
    return cut(rendered, rule.cutoff, prompt_first=rule.over_cutoff == "truncate_answer")


def cut(rendered: Rendered, cutoff: int, *, prompt_first: bool = False) -> Rendered | None:
    """At most `cutoff` tokens, by leaving out text; None where no text would remain.

    Prompt and answer get half of the room each, and what one does not need goes to
    the other; `prompt_first` gives the prompt all it needs. Within each, the pieces
    share alike. A piece loses its end.
    """
    if len(rendered) <= cutoff:
        return rendered
    room = cutoff - sum(rendered.special)
    pieces = _pieces(rendered)
    prompt = sum(length for kind, length in pieces if kind == (False, False))
    answer = sum(length for kind, length in pieces if kind == (False, True))
    if room <= 0 or (prompt_first and prompt >= room):
        return None
    for_prompt = prompt if prompt_first else min(prompt, max(room // 2, room - answer))
    kept = _kept(rendered, pieces, for_prompt, room - for_prompt)
    assert len(kept) == cutoff and sum(kept.special) == sum(rendered.special)
    return kept


def cut_each(rendered: Rendered, source: int, target: int) -> Rendered | None:
    """At most `source` untrained and `target` trained tokens, specials among them."""
    trained = sum(rendered.trained)
    if len(rendered) - trained <= source and trained <= target:
        return rendered
    kinds = list(zip(rendered.special, rendered.trained, strict=True))
    for_prompt = source - kinds.count((True, False))
    for_answer = target - kinds.count((True, True))
    if for_prompt < 0 or for_answer < 0:
        return None
    return _kept(rendered, _pieces(rendered), for_prompt, for_answer)


Pieces = list[tuple[tuple[bool, bool], int]]


def _pieces(rendered: Rendered) -> Pieces:
    """((special, trained), length) of each run of one kind."""
    return [
        (kind, len(list(run)))
        for kind, run in groupby(zip(rendered.special, rendered.trained, strict=True))
    ]


def _kept(rendered: Rendered, pieces: Pieces, for_prompt: int, for_answer: int) -> Rendered:
    """All specials, and of prompt and answer at most so many tokens."""
    shares = {}
    for trained, room in ((False, for_prompt), (True, for_answer)):
        lengths = [length for kind, length in pieces if kind == (False, trained)]
        shares[False, trained] = iter(fair_shares(lengths, min(room, sum(lengths))))
    kept, start = Rendered(), 0
    for kind, length in pieces:
        end = start + (length if kind[0] else next(shares[kind]))
        kept.extend(rendered.ids[start:end], special=kind[0], trained=kind[1])
        start += length
    return kept


def fair_shares(needs: Sequence[int], room: int) -> list[int]:
    """`room` shared out: nobody gets more than they need, or less than an equal share of the rest.

    The smallest need is served first; a remainder goes to the later ones.
    """
    shares = [0] * len(needs)
    order = sorted(range(len(needs)), key=lambda i: (needs[i], i))
    for served, i in enumerate(order):
        shares[i] = min(needs[i], room // (len(needs) - served))
        room -= shares[i]
    return shares


def _trained(messages: Sequence[Message]) -> list[int]:
    """Positions of the trained answers."""
    return [
        i for i, message in enumerate(messages) if message.role == "assistant" and message.trained
    ]


def _shortened(
    examples: Sequence[tuple[Example, Marks]], render: Render, rule: Rule
) -> Iterator[_Row]:
    """Each example rendered, without its oldest exchanges as long as it is over the cutoff.

    In rounds, each over many rows: a fast tokenizer wants them together.
    """
    loses_history = rule.over_cutoff in ("truncate_start", "source_target")
    remaining = iter(examples)
    while batch := list(islice(remaining, ROWS_AT_ONCE)):
        rendered = render([example for example, _ in batch])
        rows = [
            _Row(example, marks, row, len(row))
            for (example, marks), row in zip(batch, rendered, strict=True)
        ]
        while loses_history and (
            long := [row for row in rows if _is_long(row.rendered, rule) and _drop_oldest(row)]
        ):
            for row, again in zip(long, render([row.example for row in long]), strict=True):
                row.rendered = again
        yield from rows


def _is_long(rendered: Rendered, rule: Rule) -> bool:
    if rule.over_cutoff == "source_target":
        return len(rendered) - sum(rendered.trained) > rule.source
    return len(rendered) > rule.cutoff


def _drop_oldest(row: _Row) -> bool:
    """Leave out the oldest exchange, from one user's message to the next; False for the last one.

    Messages before the first user's are kept if they are the system's.
    """
    messages = row.example.messages
    starts = [i for i, message in enumerate(messages) if message.role == "user"]
    if len(starts) < 2:
        return False
    system = [message for message in messages[: starts[0]] if message.role == "system"]
    row.example = row.example.with_messages([*system, *messages[starts[1] :]])
    row.cut = True
    return True
