"""How many of a conversation's oldest exchanges must go for the rest to fit."""

from tuneglm.data.messages import Example, Rendered


class History:
    """The fewest exchanges without which a row fits, found by bisection.

    An exchange goes from one user's message to the next, and the last one stays.
    Messages before the first user's are kept if they are the system's.
    """

    def __init__(self, example: Example) -> None:
        self._example = example
        messages = example.messages
        self._starts = [i for i, message in enumerate(messages) if message.role == "user"]
        before = messages[: self._starts[0]] if self._starts else ()
        self._system = [message for message in before if message.role == "system"]
        # so many are too few; so many are enough, or the most that can go
        self._too_few, self._enough = 0, max(len(self._starts) - 1, 0)
        self._tried = 0
        self.shortened: tuple[Example, Rendered] | None = None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to try; `shortened` is then the row, None if nothing can go."""
        return self._enough == 0 or (
            self.shortened is not None and self._enough - self._too_few <= 1
        )

    def next_try(self) -> Example:
        """The row without the most that can go, then without the middle of what is unknown."""
        is_first = self.shortened is None
        self._tried = self._enough if is_first else (self._too_few + self._enough) // 2
        return self._without(self._tried)

    def judge(self, rendered: Rendered, is_long: bool) -> None:
        """What was tried, rendered, and whether it is over the cutoff still."""
        if is_long and self.shortened is not None:
            self._too_few = self._tried
            return
        self._enough = self._tried
        self.shortened = self._without(self._tried), rendered
        if is_long:  # it cannot be any shorter: text has to be cut
            self._too_few = self._tried

    def _without(self, count: int) -> Example:
        kept = self._example.messages[self._starts[count] :]
        return self._example.with_messages([*self._system, *kept])
