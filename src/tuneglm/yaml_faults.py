"""What is wrong with a YAML text, in words for those who wrote it and not for its parser."""

import yaml

_LIKE_OURS = "it is written as the YAML files in configs/ are"
_INDENTED = "lines of one section begin at the same column, those within it further right"
# what the parser says → what was done ("": its own words), and what to do; the first that fits
_CAUSES = (
    ("character '\\t'", "a tab stands there", "YAML is indented by spaces alone"),
    (
        "mapping values are not allowed",
        "a colon stands where none can be",
        "put a text with `: ` in it into quotes; or the line above lacks its colon",
    ),
    ("found '<block", "it does not fit to the lines above it", _INDENTED),
    (
        "expected <block end>",
        "more stands there than one value",
        "put a text with quotes or brackets in it into quotes; or a bracket is one too many",
    ),
    ("stands twice", "", "leave one of them out"),
    (
        "could not find expected ':'",
        "a key there, or just above, has no colon",
        "YAML is written `key: value`, with a space behind the colon",
    ),
    (
        "expected ',' or",
        "a bracket before it is not closed",
        "as many `]` and `}` as `[` and `{`, and a comma between two values",
    ),
    (
        "unexpected end of stream",
        "a quote before it is not closed",
        "a text in quotes ends with the quote that it began with",
    ),
    (
        "cannot start any token",
        "a value begins there with a sign that none begins with",
        "put the value into quotes",
    ),
)


def yaml_fault(error: Exception, text: str = "") -> tuple[str, str]:
    """Where and what, and what to do.

    text  what was read; its line is shown
    """
    if not isinstance(error, yaml.MarkedYAMLError):
        return one_line(error), _LIKE_OURS
    said = str(error.problem)
    what, remedy = next(
        ((what, remedy) for sign, what, remedy in _CAUSES if sign in said), ("", _LIKE_OURS)
    )
    return f"{_place(error.problem_mark, text)}{what or said}", remedy


def _place(mark: yaml.Mark | None, text: str) -> str:
    if mark is None:
        return ""
    lines = text.splitlines()
    if mark.line >= len(lines):
        return "at its end, "
    return f"in line {mark.line + 1}, `{lines[mark.line].strip()}`, "


def one_line(error: Exception) -> str:
    """An error's own words on one line."""
    return " ".join(str(error).split())
