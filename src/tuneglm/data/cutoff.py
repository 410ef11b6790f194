"""What a row over the cutoff loses: text, and never a token that the format put there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from tuneglm.data.messages import Rendered
from tuneglm.data_config import OverCutoff

Whole = Callable[[Sequence[int]], int]


@dataclass(frozen=True)
class Rule:
    """How an Example becomes tokens: all that changes the result beside tokenizer and renderer.

    cutoff           longest row
    over_cutoff      what a longer one loses, see `DataConfig.over_cutoff`
    source, target   longest prompt and longest answer, for `source_target`
    train_on         every answer, or the last one only
    answers_per_row  see `Family.answers_per_row`
    whole            (tokens of a text) → how many of them end with a whole character; of the
                     tokenizer, and so no part of what tells rules apart
    """

    cutoff: int = 1024
    over_cutoff: OverCutoff | Literal["source_target"] = "truncate_start"
    source: int = 0
    target: int = 0
    train_on: Literal["all", "last"] = "all"
    answers_per_row: Literal["one", "all"] = "all"
    whole: Whole = field(default=len, repr=False, compare=False)

    @property
    def limit(self) -> str:
        """The setting and its value, as a sentence says it."""
        if self.over_cutoff != "source_target":
            return f"data.cutoff is {self.cutoff:,}"
        return f"max_source_length is {self.source:,} and max_target_length {self.target:,}"

    @property
    def remedy(self) -> str:
        """What to do about a row that is too long."""
        several = "data.max_source_length, or data.max_target_length"
        return f"raise {several if self.over_cutoff == 'source_target' else 'data.cutoff'}"


def fitted(rendered: Rendered, rule: Rule) -> Rendered | None:
    """The row within the rule's limits; None where it cannot be."""
    if rule.over_cutoff == "source_target":
        return cut_each(rendered, rule.source, rule.target, rule.whole)
    if len(rendered) <= rule.cutoff:
        return rendered
    if rule.over_cutoff == "drop":
        return None
    return cut(
        rendered,
        rule.cutoff,
        rule.whole,
        prompt_first=rule.over_cutoff == "truncate_answer",
    )


def cut(
    rendered: Rendered, cutoff: int, whole: Whole = len, *, prompt_first: bool = False
) -> Rendered | None:
    """At most `cutoff` tokens, by leaving out text; None where no text would remain.

    Prompt and answer get half of the room each, and what one does not need goes to
    the other; `prompt_first` gives the prompt all it needs. Within each, the pieces
    share alike. A piece loses its end, and what is left of it ends with a whole character.
    """
    if len(rendered) <= cutoff:
        return rendered
    room = cutoff - rendered.special.count(1)
    pieces = _pieces(rendered)
    prompt = sum(length for kind, length in pieces if kind == (False, False))
    answer = sum(length for kind, length in pieces if kind == (False, True))
    if room <= 0 or (prompt_first and prompt >= room):
        return None
    for_prompt = prompt if prompt_first else min(prompt, max(room // 2, room - answer))
    kept = _kept(rendered, pieces, (for_prompt, room - for_prompt), whole)
    assert len(kept) <= cutoff and kept.special.count(1) == rendered.special.count(1)
    return kept


def cut_each(rendered: Rendered, source: int, target: int, whole: Whole = len) -> Rendered | None:
    """At most `source` untrained and `target` trained tokens, specials among them."""
    trained = rendered.trained.count(1)
    if len(rendered) - trained <= source and trained <= target:
        return rendered
    kinds = list(zip(rendered.special, rendered.trained, strict=True))
    for_prompt = source - kinds.count((1, 0))
    for_answer = target - kinds.count((1, 1))
    if for_prompt < 0 or for_answer < 0:
        return None
    return _kept(rendered, _pieces(rendered), (for_prompt, for_answer), whole)


Pieces = list[tuple[tuple[bool, bool], int]]


def _pieces(rendered: Rendered) -> Pieces:
    """((special, trained), length) of each run of one kind."""
    return [
        ((bool(special), bool(trained)), len(list(run)))
        for (special, trained), run in groupby(zip(rendered.special, rendered.trained, strict=True))
    ]


def _kept(rendered: Rendered, pieces: Pieces, rooms: tuple[int, int], whole: Whole) -> Rendered:
    """All specials, and of prompt and answer at most so many tokens."""
    shares = {}
    for trained, room in zip((False, True), rooms, strict=True):
        lengths = [length for kind, length in pieces if kind == (False, trained)]
        shares[False, trained] = iter(fair_shares(lengths, min(room, sum(lengths))))
    kept, start = Rendered(), 0
    for kind, length in pieces:
        end = start + (length if kind[0] else next(shares[kind]))
        if end < start + length:
            end = start + whole(rendered.ids[start:end])
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
