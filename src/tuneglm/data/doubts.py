"""Doubts about rows that can be used: decided here, for runs and for `data check` alike.

What is doubtful in a row itself is found while it is encoded, and kept as bits; which
rows are copies of earlier ones is decided over all sets of a run, after that.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

import numpy as np

from tuneglm.data.encoded import Array
from tuneglm.data.messages import Example
from tuneglm.data_config import DataConfig
from tuneglm.errors import DataError

# bits of a row's doubts
DOUBT_BITS: dict[str, int] = {
    "special_text": 1,
    "large_row": 2,
    "duplicate": 4,
    "broken_text": 8,
}
# stands where bytes could not be read as text, once and for all
REPLACEMENT = "\ufffd"
# bytes of text; its columns' names and its escapes make it a megabyte in a file
LARGE_ROW = 950_000
WHICH = "`tuneglm data check` says which"
SPECIAL_TEXT = re.compile(
    r"<\|(?:[A-Za-z_]{2,24}|blank_\d+)\|>|\[[gs]?MASK\]|<(?:sop|eop|/?s|unk|pad|bos|eos)>"
)
# how a vocabulary without white space spells it
WHITE_SPACE = re.compile(r"<\|(?:tab|blank_\d+)\|>")


def row_text(example: Example) -> str:
    """All that is said in a row, and who says it; equal for rows that say the same."""
    parts = [f"{message.role}\0{message.content}" for message in example.messages]
    if example.tools:
        parts.append(_json(example.tools))
    for message in example.messages:
        if message.metadata or message.tool_calls:
            parts += [message.metadata, _json(message.tool_calls)]
    return "\0".join(parts)


def marked(text: str, example: Example) -> str:
    """A row's text, and which answers the row itself says are trained: what makes a row a copy."""
    marks = [message.trained for message in example.messages]
    return text if marks.count(None) == len(marks) else f"{text}\0{marks}"


def digest(text: str) -> int:
    """64 bits of a row's text: copies of a row have the same."""
    content = text.encode("utf-8", "replace")
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little")


def bare_digest(text: str) -> int:
    """The same for texts that differ in case and white space only."""
    return digest("".join(text.split()).casefold())


def doubts_of(text: str) -> int:
    """The bits of what is doubtful in a row's text."""
    doubts = 0
    # most texts are done with at the search for one character, which costs next to nothing
    if ("<" in text or "[" in text) and SPECIAL_TEXT.search(text):
        doubts |= DOUBT_BITS["special_text"]
    if REPLACEMENT in text:
        doubts |= DOUBT_BITS["broken_text"]
    # no character has more than four bytes
    if len(text) > LARGE_ROW // 4 and len(text.encode("utf-8", "replace")) > LARGE_ROW:
        doubts |= DOUBT_BITS["large_row"]
    return doubts


def describe_doubt(problem: str, example: Example) -> tuple[str, str]:
    """What is doubtful in the row itself, as (sentence, remedy)."""
    if problem == "large_row":
        size = len(row_text(example).encode("utf-8", "replace"))
        return f"the row holds {size / 1e6:.1f} MB of text", "split it, if it is more than one row"
    if problem == "broken_text":
        sentence = "the text holds `\ufffd`, which stands where bytes could not be read"
        return sentence, "write what was meant, or read the source in its own encoding"
    for message in example.messages:
        found = SPECIAL_TEXT.search(message.content)
        if found is not None:
            sentence = f"the {message.role}'s text spells the special token `{found[0]}`"
            if WHITE_SPACE.fullmatch(found[0]):
                return sentence, "some models read it as white space: write that, or remove it"
            return sentence, "it will be plain text: remove it, or write roles as messages"
    return "a tool's text spells a special token", "remove it"


def originals(texts: Sequence[Array], rows: Sequence[Array]) -> list[Array]:
    """For each row of each set the earliest row with its text, where that is another; else -1.

    texts  a set's (rows,) digests
    rows   a set's (rows,) numbers, the same for what came from the same row of the same file:
           a file that a mix names twice is no copy of itself
    The result counts the rows of all sets one after the other.
    """
    if not texts:
        return []
    text, row = np.concatenate(texts), np.concatenate(rows)
    order = np.argsort(text, kind="stable")
    begins = np.ones(len(order), bool)
    begins[1:] = text[order[1:]] != text[order[:-1]]
    first = order[np.flatnonzero(begins)][np.cumsum(begins) - 1]
    found = np.full(len(text), -1, np.int64)
    copies = row[order] != row[first]
    found[order[copies]] = first[copies]
    return np.split(found, np.cumsum([len(each) for each in texts])[:-1])


def row_numbers(tables: Sequence[Array], files: Sequence[Sequence[str]]) -> list[Array]:
    """(rows,) numbers of the rows of each set: of the file among all files, and in the file."""
    every = {name: i for i, name in enumerate(dict.fromkeys(n for names in files for n in names))}
    result = []
    for table, names in zip(tables, files, strict=True):
        places = np.array([every[name] for name in names] or [0], np.uint64)
        result.append((places[table["file"]] << np.uint64(32)) + table["number"].astype(np.uint64))
    return result


def all_doubts(tables: Sequence[Array], files: Sequence[Sequence[str]]) -> list[Array]:
    """(rows,) bits of every doubt about the rows of each set, copies included.

    tables  with the fields `text`, `file`, `number` and `doubt`
    """
    numbers = row_numbers(tables, files)
    copies = originals([table["text"] for table in tables], numbers)
    return [
        table["doubt"] | (np.uint8(DOUBT_BITS["duplicate"]) * (first >= 0)).astype(np.uint8)
        for table, first in zip(tables, copies, strict=True)
    ]


def count_doubts(
    doubts: Iterable[Array], tables: Iterable[Array], files: Iterable[Sequence[str]]
) -> tuple[int, Mapping[str, int]]:
    """How many rows are doubtful, and of what kind; a row that gave several rows counts once."""
    numbers = row_numbers(list(tables), list(files))
    found = np.concatenate([*doubts, np.zeros(0, np.uint8)])
    number = np.concatenate([*numbers, np.zeros(0, np.uint64)])
    kinds = {
        problem: len(np.unique(number[(found & bit) > 0])) for problem, bit in DOUBT_BITS.items()
    }
    return len(np.unique(number[found > 0])), Counter(kinds)


def used_rows(
    tables: Sequence[Array], files: Sequence[Sequence[str]], config: DataConfig
) -> list[Array]:
    """(rows,) of bool for each set: all, or under `bad_rows: skip` those that are not doubtful."""
    if config.bad_rows == "stop":
        return [np.ones(len(table), bool) for table in tables]
    return [doubts == 0 for doubts in all_doubts(tables, files)]


def doubtful_note(
    tables: Sequence[Array], files: Sequence[Sequence[str]], config: DataConfig
) -> str | None:
    """What is said of doubtful rows; raises DataError where none is left without them."""
    doubts = all_doubts(tables, files)
    count, kinds = count_doubts(doubts, tables, files)
    if not count:
        return None
    skips = config.bad_rows == "skip"
    if skips and all(each.all() for each in doubts):
        raise DataError(
            f"Every row is doubtful ({_named(kinds)}), and data.bad_rows=skip leaves them out.",
            f"{WHICH}; data.bad_rows=stop uses them",
        )
    return doubtful_sentence(count, kinds, skips=skips)


def doubtful_sentence(count: int, kinds: Mapping[str, int], of: str = "", *, skips: bool) -> str:
    """What is said of so many doubtful rows; `of` says of which."""
    rows = f"1 row{of} is" if count == 1 else f"{count:,} rows{of} are"
    if skips:
        return f"{rows} doubtful and left out ({_named(kinds)}): {WHICH}."
    return f"{rows} doubtful ({_named(kinds)}): {WHICH}, data.bad_rows=skip leaves them out."


def _named(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {problem}" for problem, number in kinds.items() if number)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if value else ""
