"""Whatever a file holds, a format makes an Example of it or says what is wrong."""

from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tuneglm.data.columns import RowError
from tuneglm.data.formats import FORMATS
from tuneglm.data.messages import ROLES, Example
from tuneglm.data.recognise import recognise
from tuneglm.errors import UserError

VALUES_IN_ALL = 10_000
ROWS_AT_ONCE = 20

COLUMNS = sorted({column for each in FORMATS.values() for column in each.columns})
KEYS = ["from", "role", "value", "content", "weight", "loss", "trained", "tool_calls", "metadata"]
KEYS += ["function_call", "name", "parameters", "observation", "tools", "text", "type", "function"]
KEYS += ["arguments", "reasoning_content"]
SPEAKERS = ["user", "human", "assistant", "gpt", "system", "tool", "function_call", "observation"]
TEXTS = [
    "",
    " ",
    "a",
    "Human:",
    "Human:a\nAssistant:",
    "User: a\nAssistent: b",
    "User: a",
    "\ud83d",
]
TEXTS += ["[]", "[{", '{"name": "f", "arguments": {}}', '[["a", "b"]]', "NaN", "甲：a\n乙：b", "甲"]
TEXTS += ["Assistant: a\nHuman: b\nAssistant:", "System: a\nUser: b", r"\n \neq", "9" * 5000]

words = st.one_of(st.sampled_from(TEXTS), st.text(st.characters(), max_size=8))
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), words)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=6,
)
text = st.one_of(st.just("a"), st.just("a"), words)
message = st.fixed_dictionaries(
    {"role": st.sampled_from(SPEAKERS), "content": st.one_of(text, anything)},
    optional={"weight": scalars, "tool_calls": anything, "from": scalars, "tools": anything},
)
# most conversations are in order, or nearly
QUESTION, ANSWER = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}
CALL = {"from": "function_call", "value": '{"name": "f", "arguments": {}}'}
exchange = st.sampled_from([[QUESTION, ANSWER], [QUESTION, CALL]])
conversation = st.builds(
    lambda exchange, more, last: [*exchange, *more, *last],
    exchange,
    st.lists(message, max_size=1),
    st.sampled_from([[], [QUESTION, ANSWER], [ANSWER]]),
)
cells = st.one_of(text, text, conversation, anything)


def row_of(name: str) -> st.SearchStrategy[Any]:
    """A row that has the columns by which a format is recognised."""
    each = FORMATS[name]
    needed = dict.fromkeys(each.needs or ("instruction", "output"), cells)
    others = st.dictionaries(st.sampled_from(each.columns), cells, max_size=1)
    return st.builds(lambda row, more: {**more, **row}, st.fixed_dictionaries(needed), others)


rows = st.one_of(
    *(row_of(name) for name in FORMATS),
    st.dictionaries(st.sampled_from(COLUMNS), cells, max_size=4),
    anything,
)


def converted(name: str, row: Any, columns: dict[str, str]) -> None:
    try:
        example = FORMATS[name].convert(row, columns)
    except RowError as error:
        assert error.sentence.encode() and error.remedy.encode()
        return
    assert isinstance(example, Example) and example.messages
    for each in example.messages:
        assert each.role in ROLES
        each.content.encode()


@seed(5)
@settings(
    max_examples=VALUES_IN_ALL // ROWS_AT_ONCE,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(rows, min_size=ROWS_AT_ONCE, max_size=ROWS_AT_ONCE))
def test_ten_thousand_values_raise_nothing_but_what_a_person_can_read(values: list[Any]) -> None:
    for row in values:
        for name, each in FORMATS.items():
            converted(name, row, each.columns_with({}))
    try:
        found = recognise(values)
    except UserError as error:
        str(error).encode()
        return
    found.sentence.encode()
    for row in values:
        converted(found.format, row, FORMATS[found.format].columns_with(found.columns))
