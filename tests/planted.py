"""A file with faults of unlike kinds planted among good rows, and what should be said of it."""

import json
from collections.abc import Iterator
from pathlib import Path


def good(number: int) -> bytes:
    """A row that nothing is against, unlike every other."""
    return as_line(instruction=f"How many are {number} and {number}?", output=str(2 * number))


def as_line(**row: object) -> bytes:
    """A row as a line of JSON."""
    return json.dumps(row).encode()


# the word that the check should say → the line
FAULTS: tuple[tuple[str, bytes], ...] = (
    ("bad_json", b'{"instruction": "a", "output": "b"'),
    ("bad_json", as_line(instruction="a tail", output="b") + b" garbage"),
    ("encoding", b"\xef\xbb\xbf" + as_line(instruction="a mark", output="b")),
    ("encoding", '{"instruction": "你好", "output": "好的"}'.encode("gbk")),
    ("not_a_number", b'{"instruction": "a", "output": "b", "score": NaN}'),
    ("double_key", b'{"instruction": "a", "output": "b", "output": "c"}'),
    ("not_an_object", b'["instruction", "output"]'),
    ("not_an_object", b"null"),
    ("missing_column", as_line(instruction="a")),
    ("missing_column", as_line(messages=[])),
    ("wrong_type", as_line(instruction=["a"], output="b")),
    ("wrong_type", as_line(instruction="a number", output=42)),
    ("wrong_type", as_line(instruction="a", output="b", history=[["c", "d", "e"]])),
    ("wrong_type", as_line(instruction="a", output="b", history="c")),
    ("empty_question", as_line(instruction=" ", output="b")),
    ("empty_answer", as_line(instruction="a", output="")),
    ("empty_answer", as_line(instruction="null", output=None)),
    ("empty_answer", as_line(instruction="a", output="\u200b\u200b ")),
    ("broken_text", as_line(instruction="a", output="caf\ufffd")),
    ("half_character", as_line(instruction="a", output="half of \ud83d")),
    ("duplicate", good(0)),
    ("special_text", as_line(instruction="a", output="I say <|user|> and go on")),
    ("large_row", as_line(instruction="a", output="a word " * (1_000_000 // 7))),
    ("empty_question", as_line(instruction="a", output="b", history=[["", "c"]])),
)


def plant(path: Path, end: bytes = b"\n") -> tuple[list[tuple[int, str]], list[bytes]]:
    """Write the file; (line, word) of each fault, and the lines without one."""
    lines, faults = [good(0)], []
    sound = [good(0)]
    for number, (word, line) in enumerate(FAULTS, 1):
        lines.append(line)
        faults.append((len(lines), word))
        lines.append(good(number))
        sound.append(good(number))
    path.write_bytes(end.join(lines))
    return faults, sound


# a conversation → the word that the check should say
CONVERSATIONS: tuple[tuple[str, object], ...] = (
    ("role_order", [("assistant", "a"), ("user", "b")]),
    ("role_order", [("user", "a"), ("user", "b"), ("assistant", "c")]),
    ("role_order", [("user", "no answer")]),
    ("unknown_role", [("usr", "a"), ("assistant", "b")]),
    ("empty_text", []),
    ("empty_question", [("user", ""), ("assistant", "b")]),
    ("empty_answer", [("user", "a"), ("assistant", None)]),
)


def plant_conversations(path: Path) -> list[tuple[int, str]]:
    """The same for a file of messages."""
    path.write_bytes(b"\n".join(_conversation_lines()))
    return [(2 * number, word) for number, (word, _) in enumerate(CONVERSATIONS, 1)]


def _conversation_lines() -> Iterator[bytes]:
    for number, (_, turns) in enumerate(CONVERSATIONS):
        yield _messages([("user", f"question {number}"), ("assistant", "b")])
        yield _messages(turns)


def _messages(turns: object) -> bytes:
    assert isinstance(turns, list)
    return as_line(messages=[{"role": role, "content": content} for role, content in turns])
