"""From Examples to token ids with labels: the only place that decides what is trained.

    Examples ──mark──▶ trained or not, each message ──render──▶ ids ──shorten──▶ Encoded

A row over `data.cutoff` loses whole oldest exchanges first, then text; never a
token that the format put there, so the token that ends an answer is always learnt.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Literal, Protocol

from tuneglm.config import DataConfig
from tuneglm.data.messages import Example, Message, Rendered, Source
from tuneglm.errors import DataError

UNTRAINED = -100  # the label that torch's cross entropy ignores
ROWS_AT_ONCE = 2048  # enough for a fast tokenizer's threads


class Render(Protocol):
    """A family's renderer with its tokenizer bound."""

    def __call__(
        self, examples: Sequence[Example], *, generation_prompt: bool = False
    ) -> list[Rendered]:
        """The rows that the model sees."""
        ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """One row for the model; the three lists have one length.

    labels   the id where the token is trained, else -100
    special  whether the format put the token there; for `data show`, the model never sees it
    cut      whether something of the row was left out to fit the cutoff
    """

    input_ids: list[int]
    labels: list[int]
    special: list[bool]
    source: Source | None = None
    cut: bool = False

    @property
    def length(self) -> int:
        """Number of tokens."""
        return len(self.input_ids)

    @property
    def trained_tokens(self) -> int:
        """Number of tokens that are trained."""
        return len(self.labels) - self.labels.count(UNTRAINED)


@dataclass(frozen=True)
class EncodedSet:
    """All rows, and what it took.

    cut             rows that were shortened to the cutoff
    dropped         rows that cannot fit: the format's own tokens fill the cutoff
    untrained       rows without anything to train
    tokens          of all rows; trained_tokens of them carry a label
    """

    rows: list[Encoded]
    cut: int
    dropped: int
    untrained: int
    tokens: int
    trained_tokens: int


@dataclass(slots=True)
class _Row:
    """A row on its way: its example (None when untouched since rendering) and what it became."""

    example: Example
    rendered: Rendered
    cut: bool = False


def encode_examples(
    examples: Sequence[Example],
    render: Render,
    *,
    config: DataConfig,
    answers_per_row: Literal["one", "all"],
) -> EncodedSet:
    """Examples → rows of at most `config.cutoff` tokens.

    With `answers_per_row` "one", each trained answer of a conversation becomes a
    row of its own. Raises DataError when no row is left.
    """
    rows: list[Encoded] = []
    dropped = untrained = 0
    marked = [mark(example, config.train_on) for example in examples]
    wanted = [example for example in marked if _trained(example.messages)]
    if answers_per_row == "one":
        wanted = [row for example in wanted for row in one_answer_each(example)]
    for row in _shortened(wanted, render, config.cutoff):
        rendered = cut(row.rendered, config.cutoff)
        if rendered is None:
            dropped += 1
        elif not any(rendered.trained):
            untrained += 1
        else:
            rows.append(_encoded(row, rendered, config.cutoff))
    untrained += sum(not _trained(example.messages) for example in marked)
    if not rows:
        raise _nothing_left(len(examples), dropped, untrained, config.cutoff)
    return EncodedSet(
        rows,
        cut=sum(row.cut for row in rows),
        dropped=dropped,
        untrained=untrained,
        tokens=sum(row.length for row in rows),
        trained_tokens=sum(row.trained_tokens for row in rows),
    )


def mark(example: Example, train_on: Literal["all", "last"]) -> Example:
    """Every answer's `trained` decided; what follows the last trained one is left out.

    A message's own `trained` wins over the run's rule.
    """
    answers = [i for i, message in enumerate(example.messages) if message.role == "assistant"]
    messages = list(example.messages)
    for i in answers:
        if messages[i].trained is None:
            by_rule = train_on == "all" or i == answers[-1]
            messages[i] = replace(messages[i], trained=by_rule)
    last = max(_trained(messages), default=len(messages) - 1)
    return example.with_messages(messages[: last + 1])


def one_answer_each(example: Example) -> list[Example]:
    """A row for each trained answer: the messages up to it, of which it alone is trained."""
    if len(_trained(example.messages)) == 1:
        return [example]
    context = [
        replace(message, trained=False) if message.role == "assistant" else message
        for message in example.messages
    ]
    return [
        example.with_messages([*context[:answer], example.messages[answer]])
        for answer in _trained(example.messages)
    ]


def cut(rendered: Rendered, cutoff: int) -> Rendered | None:
    """At most `cutoff` tokens, by leaving out text; None where no text would remain.

    Prompt and answer get half of the room each, and what one does not need goes to
    the other; within each, the pieces share alike. A piece loses its end.
    """
    if len(rendered) <= cutoff:
        return rendered
    room = cutoff - sum(rendered.special)
    if room <= 0:
        return None
    pieces = [
        (kind, len(list(run)))
        for kind, run in groupby(zip(rendered.special, rendered.trained, strict=True))
    ]
    prompt = [length for kind, length in pieces if kind == (False, False)]
    answer = [length for kind, length in pieces if kind == (False, True)]
    for_prompt = min(sum(prompt), max(room // 2, room - sum(answer)))
    shares = {
        (False, False): iter(fair_shares(prompt, for_prompt)),
        (False, True): iter(fair_shares(answer, room - for_prompt)),
    }
    kept, start = Rendered(), 0
    for kind, length in pieces:
        end = start + (length if kind[0] else next(shares[kind]))
        kept.extend(rendered.ids[start:end], special=kind[0], trained=kind[1])
        start += length
    assert len(kept) == cutoff and sum(kept.special) == sum(rendered.special)
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


def _shortened(examples: Sequence[Example], render: Render, cutoff: int) -> Iterator[_Row]:
    """Each example rendered, without its oldest exchanges as long as it is over the cutoff.

    In rounds, each over many rows: a fast tokenizer wants them together.
    """
    remaining = iter(examples)
    while batch := list(islice(remaining, ROWS_AT_ONCE)):
        rendered = render(batch)
        rows = [_Row(*pair) for pair in zip(batch, rendered, strict=True)]
        while long := [row for row in rows if len(row.rendered) > cutoff and _drop_oldest(row)]:
            for row, again in zip(long, render([row.example for row in long]), strict=True):
                row.rendered = again
        yield from rows


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


def _encoded(row: _Row, rendered: Rendered, cutoff: int) -> Encoded:
    labels = [
        token if trained else UNTRAINED
        for token, trained in zip(rendered.ids, rendered.trained, strict=True)
    ]
    assert len(labels) <= cutoff
    was_cut = row.cut or rendered is not row.rendered
    return Encoded(rendered.ids, labels, rendered.special, row.example.source, was_cut)


def _nothing_left(rows: int, dropped: int, untrained: int, cutoff: int) -> DataError:
    if dropped:
        return DataError(
            f"None of {rows} rows is left to train on: {dropped} do not fit into "
            f"data.cutoff=`{cutoff}`.",
            "raise data.cutoff",
        )
    return DataError(
        f"None of {rows} rows is left to train on: {untrained} hold no trained answer.",
        "each row needs an answer that is trained",
    )
