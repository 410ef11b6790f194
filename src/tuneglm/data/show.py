"""What `tuneglm data show` prints: each row as the model sees it, and what of it is trained."""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.text import Text

from tuneglm.data.encoded import UNTRAINED, Encoded

Decode = Callable[[list[int]], str]

# (trained, special) → style; the legend shows the same
_STYLES: dict[tuple[bool, bool], str] = {
    (True, False): "green",
    (True, True): "bold green",
    (False, False): "dim",
    (False, True): "bold blue",
}
_OPEN, _CLOSE = "⟦", "⟧"

# characters that would move the cursor or colour the terminal are shown, not obeyed
_VISIBLE = {
    **{code: chr(0x2400 + code) for code in range(32)},
    **{code: f"\\x{code:02x}" for code in range(127, 160)},
    ord("\n"): "⏎\n",
}


def show_rows(rows: Sequence[Encoded], decode: Decode, console: Console) -> None:
    """Print the rows; `decode` turns ids into text and leaves special tokens in.

    In colour, or with marks around what is trained where the console has no colour.
    """
    coloured = console.color_system is not None and not console.no_color
    _print(console, _legend(coloured))
    for number, row in enumerate(rows, 1):
        _print(console, Text())
        _print(console, Text(header(number, row), style="bold" if coloured else ""))
        _print(console, _body(row, decode, coloured))


def _print(console: Console, text: Text) -> None:
    # a pipe has no width: lines there end where the data's do
    console.print(text, soft_wrap=not console.is_terminal, highlight=False)


def _legend(coloured: bool) -> Text:
    if not coloured:
        return Text(f"{_OPEN}trained{_CLOSE} context; ⏎ a line break")
    return Text.assemble(
        ("trained", "green"),
        "  ",
        ("trained special token", "bold green"),
        "  ",
        ("context", "dim"),
        "  ",
        ("special token", "bold blue"),
        "  ⏎ a line break",
    )


def header(number: int, row: Encoded) -> str:
    """Which row it is, where it came from, how long it is."""
    source = row.source
    parts = [f"row {number}"] if source is None else [source.dataset, str(source)]
    parts.append(f"{row.length} tokens, {row.trained_tokens} trained")
    if row.cut:
        parts.append("cut to fit")
    return " · ".join(parts)


def _body(row: Encoded, decode: Decode, coloured: bool) -> Text:
    body, was_trained = Text(), False
    for (trained, special), text in shown_pieces(row, decode):
        if not coloured and trained != was_trained:
            body.append(_OPEN if trained else _CLOSE)
        was_trained = trained
        style = _STYLES[trained, special] if coloured else ""
        body.append(text, style=style)
    if not coloured and was_trained:
        body.append(_CLOSE)
    return body


def shown_pieces(row: Encoded, decode: Decode) -> Iterator[tuple[tuple[bool, bool], str]]:
    """((trained, special), text) of each run of one kind, as a person should see it."""
    for kind, ids in _runs(row):
        yield kind, decode(ids).translate(_VISIBLE)


def row_json(row: Encoded, decode: Decode) -> str:
    """A row as one line of JSON."""
    source = row.source
    record = {
        "set": source.dataset if source else None,
        "file": source.file if source else None,
        "line": source.line if source else None,
        "row": source.row if source else None,
        "tokens": row.length,
        "trained_tokens": row.trained_tokens,
        "cut": row.cut,
        "pieces": [
            {"text": decode(ids), "ids": ids, "trained": trained, "special": special}
            for (trained, special), ids in _runs(row)
        ],
    }
    return json.dumps(record, ensure_ascii=False)


def _runs(row: Encoded) -> Iterator[tuple[tuple[bool, bool], list[int]]]:
    """((trained, special), ids) of each run of one kind.

    Whole runs are decoded: a character may be made of several tokens.
    """
    kinds = (
        (label != UNTRAINED, special)
        for label, special in zip(row.labels, row.special, strict=True)
    )
    for kind, run in groupby(zip(kinds, row.input_ids, strict=True), key=lambda pair: pair[0]):
        yield kind, [token for _, token in run]
