"""Errors that a user can cause, and nothing else.

    UserError            what was wrong, the value in backticks, what to do
    ├── ConfigError      an option: unknown key, wrong value, two that exclude each other
    ├── ModelError       a model folder, a checkpoint, an adapter
    ├── DataError        a data set, a file, a row
    ├── HubError         a hub that does not answer, or does not give out what was asked for
    ├── OutputError      where results go: a folder in use, a full disk
    └── DivergedError    a run whose loss is no number any more

The command line prints `str(error)` alone and exits with 2; a traceback is
for our own mistakes. The first line is the sentence, every further line a hint.
"""

# a file, a line in it, and one of tuneglm.data.problems.ERRORS
Place = tuple[str, int, str]


class UserError(Exception):
    """One clear sentence for the person at the terminal; `hint` says what to do."""

    def __init__(self, sentence: str, hint: str | None = None) -> None:
        self.sentence = sentence
        self.hint = hint
        super().__init__(sentence)

    def __str__(self) -> str:
        return self.sentence if self.hint is None else f"{self.sentence}\n  hint: {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.sentence, self.hint)


class ConfigError(UserError):
    """An option that does not exist, has a wrong value, or excludes another."""


class ModelError(UserError):
    """A model folder, checkpoint or adapter that cannot be used as asked."""


class DataError(UserError):
    """A data set, file or row that cannot be used as asked.

    `at` is where it stands, if it is one place of one file that is wrong.
    """

    def __init__(self, sentence: str, hint: str | None = None, *, at: Place | None = None) -> None:
        super().__init__(sentence, hint)
        self.at = at


class HubError(UserError):
    """The hub does not answer, does not know the id, or does not give it out."""


class OutputError(UserError):
    """A place for results that cannot be written, or must not be."""


class DivergedError(UserError):
    """A run that went astray, its loss no number any more; going on would save nothing of use."""
