"""Whether a measured cost grows no faster than mathematics has it, and how sure that is.

Each turn visits every size of a line once, one after the other, so each has an exponent of its
own, and how far these lie apart says what the machine alone does to an exponent. Judged is the
exponent of the medians, along the whole line and at its end, the last three sizes: there
what does not grow with the size weighs least, and what grows too fast is seen first.

It may exceed the mathematical one by

    the spread of the turns' exponents    largest less smallest. Of three turns it is 1.7 standard
                                          deviations on average, and their median is off by 0.67
                                          of one: 2.5 times the error of what is judged; of five
                                          turns, 4 times
    the exponent of a factor of 1.15      which memory, caches and what processes tell each other
                                          may cost at the largest size, and mathematics has not

Where the turns' exponents differ by more than a factor of 1.5 at the largest size, nothing can
be told, and that is no pass.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from growth_sweeps import exponent

TURNS = 3  # with fewer nothing is known of the spread
END = 3  # sizes of a line's end
BEYOND, UNSTEADY = 1.15, 1.5


@dataclass(frozen=True)
class Verdict:
    """What is found of a line, or of its end.

    what    which one it is
    most    the exponent that mathematics has
    turns   an exponent of each turn
    widest  the largest size over the smallest
    """

    what: str
    exponent: float
    most: float
    turns: tuple[float, ...]
    widest: float

    @property
    def spread(self) -> float:
        """How far the turns' exponents lie apart."""
        return max(self.turns) - min(self.turns)

    @property
    def tolerance(self) -> float:
        """How far above `most` it may be."""
        return self.spread + math.log(BEYOND) / math.log(self.widest)

    @property
    def fault(self) -> str:
        """What is wrong with it; empty where nothing is."""
        if len(self.turns) < TURNS:
            return ""
        if self.exponent > self.most + self.tolerance:
            return f"grows with {self.exponent:.2f}, by mathematics at most {self.most:.2f}"
        if self.spread * math.log(self.widest) > math.log(UNSTEADY):
            return f"turns differ by {self.spread:.2f}: measure again, with less at work beside it"
        return ""

    @property
    def words(self) -> str:
        """As a line of the output."""
        most = f"at most {self.most:.2f} + {self.tolerance:.2f}"
        told = "too few turns to judge" if len(self.turns) < TURNS else self.fault or "as it should"
        return f"{self.what}: exponent {self.exponent:.2f}, {most}: {told}"


def verdicts(
    what: str, most: float, sizes: Sequence[float], turns: Sequence[Sequence[float]]
) -> Iterator[Verdict]:
    """Of a line and of its end.

    turns  of each size, seconds a token in each turn
    """
    yield _verdict(what, most, sizes, turns)
    if len(sizes) > END:
        yield _verdict(f"{what}, from {sizes[-END]:,} on", most, sizes[-END:], turns[-END:])


def _verdict(
    what: str, most: float, sizes: Sequence[float], turns: Sequence[Sequence[float]]
) -> Verdict:
    medians = [sorted(each)[len(each) // 2] for each in turns]
    exponents = tuple(exponent(sizes, turn) for turn in zip(*turns, strict=True))
    return Verdict(what, exponent(sizes, medians), most, exponents, sizes[-1] / sizes[0])
