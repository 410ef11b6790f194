"""PROBLEMS: the short fixed words for what is wrong with rows, and what each means.

An error is a row that cannot be used: it stops a run. A doubt is a row that can be
used, and perhaps should not be: `data.bad_rows=skip` leaves both out. A note is
nothing against a row itself: it says what the settings of a run do to it. Some of
them, answers that are cut or never end, make a check fail all the same.
"""

from typing import Literal

Severity = Literal["error", "doubt", "note"]
# there is nothing of which a row could be looked at
MISSING = "missing_file"

ERRORS: dict[str, str] = {
    MISSING: "a file, a folder or a named set that is not there",
    "unreadable": "a file that cannot be read, or not further",
    "no_rows": "a file without a row that is asked for, or that is left to train on",
    "bad_json": "a row that is not JSON, or not whole on its line",
    "bad_table": "a row of a table with a wrong number of cells, or a quote that is not closed",
    "encoding": "bytes or marks that are no text in the file's encoding",
    "not_a_number": "NaN, Infinity, or a number of too many digits",
    "double_key": "a key that stands twice in one object",
    "half_character": "one half of a character (a lone surrogate)",
    "not_an_object": "a row that is no object",
    "missing_column": "a column, or a message's key, that is not there",
    "wrong_type": "a value of another type, or another value, than expected",
    "empty_question": "a question that is blank",
    "empty_answer": "an answer that is blank",
    "empty_text": "another text, or a conversation, that is blank",
    "unknown_role": "a speaker that is not known",
    "role_order": "turns in an order that no conversation has, or without an answer at the end",
    "bad_tool": "a tool, or a call of one, that is not written as such",
    "not_rendered": "a row for which the model's prompt has no place, such as one that calls tools",
}

DOUBTS: dict[str, str] = {
    "duplicate": "a row whose text stands in an earlier row",
    "special_text": "a text that spells a special token, such as `<|user|>`",
    "large_row": "a row of about a megabyte or more",
    "broken_text": "a text with `\ufffd` in it, the mark of a wrong decoding",
}

NOTES: dict[str, str] = {
    "answer_cut": "an answer that the cutoff cuts",
    "row_cut": "a row of which the cutoff cuts something, but no answer",
    "left_out": "a row that does not fit, whatever is cut of it",
    "untrained": "a row of which nothing is trained",
    "no_end": "a row that does not end with a token that ends an answer",
    "given_twice": "a row of a file that two entries of a run give",
    "placeholder": "a text that waits for a name or an author, and was not filled",
}
# notes that are a reason to change something before a run
FAILING_NOTES = ("answer_cut", "no_end")

PROBLEMS: dict[str, str] = {**ERRORS, **DOUBTS, **NOTES}


def severity_of(problem: str) -> Severity:
    """How much there is against a row with this problem."""
    if problem in ERRORS:
        return "error"
    return "doubt" if problem in DOUBTS else "note"


def fails(problem: str) -> bool:
    """Whether a check that finds it ends with the exit code of a problem."""
    return problem not in NOTES or problem in FAILING_NOTES
