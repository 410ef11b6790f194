"""A family whose tokens are letters: for tests of what knows no real one."""

from collections.abc import Sequence

from tuneglm.data.encoded import UNTRAINED, Encoded
from tuneglm.data.messages import Example, Rendered

ROLE, END = 1, 2


def render(examples: Sequence[Example], *, generation_prompt: bool = False) -> list[Rendered]:
    """A role token, a token for each letter, an end token after an answer."""
    rows = []
    for example in examples:
        row = Rendered()
        for message in example.messages:
            trained = message.role == "assistant" and message.trained is not False
            row.extend([ROLE], special=True)
            row.extend([ord(letter) for letter in message.content], trained=trained)
            if message.role == "assistant":
                row.extend([END], special=True, trained=trained)
        rows.append(row)
    return rows


def text_of(row: Encoded) -> str:
    """All letters of a row."""
    return "".join(chr(token) for token in row.input_ids if token not in (ROLE, END))


def trained_text(row: Encoded) -> str:
    """The letters that are trained."""
    return "".join(chr(label) for label in row.labels if label not in (UNTRAINED, END))
