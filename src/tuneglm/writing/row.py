"""Row: one answer that is being written, and all that its step needs to know."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Positions = Sequence[list[int]]
Openings = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Sampling:
    """How the tokens of an answer are drawn.

    temperature  0 takes the likeliest
    presence, frequency  taken off the score of a token that the answer has, once or each time
    repetition   divides the score of a token that prompt or answer has
    bias         token → what is added to its score
    logprobs     how many likely tokens are told at each place; None: no probabilities at all
    openings     token ids with one of which the answer has to begin; none: as it likes
    """

    temperature: float = 1.0
    top_p: float = 1.0
    presence: float = 0.0
    frequency: float = 0.0
    repetition: float = 1.0
    bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    logprobs: int | None = None
    openings: Openings = ()

    @property
    def changes_scores(self) -> bool:
        """Whether scores are not the model's own."""
        penalties = self.presence or self.frequency or self.repetition != 1.0
        return bool(penalties or self.bias or self.openings)


@dataclass(frozen=True, slots=True)
class TokenScore:
    """A drawn token's log probability, and the likeliest ones' beside it."""

    token: int
    logprob: float
    likeliest: tuple[tuple[int, float], ...]


class Row:
    """A prompt, what was written after it, and its place in the batch.

    longest    the most tokens of an answer
    adapter    the name of the one that answers
    positions  of each token, prompt and answer, as the network wants them: one number or two
    context    how many tokens at the beginning see each other; 0 in causal models
    filled     how many tokens' keys and values are there
    slot       where they are
    """

    def __init__(self, prompt: list[int], longest: int, sampling: Sampling, adapter: str) -> None:
        self.prompt, self.longest = prompt, longest
        self.sampling, self.adapter = sampling, adapter
        self.ids: list[int] = []
        self.scores: list[TokenScore] = []
        self.random = random.Random(sampling.seed)
        self.counts: Counter[int] = Counter()
        self.positions: Positions = ()
        self.context = 0
        self.filled = 0
        self.slot = -1

    @property
    def total(self) -> int:
        """Tokens of the prompt and of the longest answer."""
        return len(self.prompt) + self.longest

    @property
    def to_fill(self) -> int:
        """Tokens of the prompt before the one with which the answer's first step begins."""
        return len(self.prompt) - 1

    @property
    def is_ready(self) -> bool:
        """Whether the prompt is read, and the next step writes."""
        return self.filled >= self.to_fill

    @property
    def token(self) -> int:
        """The last one that is known."""
        return self.ids[-1] if self.ids else self.prompt[-1]

    @property
    def has_to_come(self) -> set[int]:
        """Of which tokens the next is one; empty where it is free."""
        count, begun = len(self.ids), set[int]()
        for opening in self.sampling.openings:
            if [*opening[:count]] == self.ids[: len(opening)]:
                if count >= len(opening):
                    return set()
                begun.add(opening[count])
        return begun

    def append(self, token: int, score: TokenScore | None) -> None:
        """Take a token that was drawn."""
        self.ids.append(token)
        self.filled += 1
        if score is not None:
            self.scores.append(score)
        if self.sampling.changes_scores:
            self.counts[token] += 1
