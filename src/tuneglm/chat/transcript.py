"""A conversation as a file: rows of OpenAI's messages, which `data.train` reads as well."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tuneglm.chat.voices import Messages
from tuneglm.data.columns import RowError
from tuneglm.data.files import read_rows
from tuneglm.data.formats import FORMATS
from tuneglm.data.recognise import recognise
from tuneglm.errors import DataError, OutputError

LINES = ".jsonl"


def write_transcript(path: Path, conversations: Sequence[Messages], *, may_replace: bool) -> None:
    """A list of rows, or a row a line; raises OutputError where it cannot be written."""
    if path.exists() and not may_replace:
        raise OutputError(f"`{path}` is there already.", "name a new file")
    rows = [{"messages": messages} for messages in conversations]
    if path.suffix == LINES:
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    else:
        text = json.dumps(rows, ensure_ascii=False, indent=1)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_text(text + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise OutputError(
            f"`{path}` cannot be written: {error.strerror}.", "name another file"
        ) from None


def read_transcript(path: Path) -> list[Messages]:
    """The conversations of a file of any format; raises DataError where there is none."""
    conversations = []
    for row in read_rows(path):
        try:
            if isinstance(row.value, RowError):
                raise row.value
            found = recognise([row.value], path.name)
            form = FORMATS[found.format]
            example = form.convert(row.value, form.columns_with(found.columns))
        except RowError as error:
            raise DataError(f"`{row.file}:{row.line}`: {error.sentence}.", error.remedy) from None
        conversations.append(
            [{"role": each.role, "content": each.content} for each in example.messages]
        )
    if not conversations:
        raise DataError(f"`{path}` holds no conversation.", "write one by /save FILE")
    return conversations
