"""Rows in the shapes of the named sets, with their quirks; every text here is ours."""

from typing import Any

import pytest

from tuneglm.data.columns import RowError
from tuneglm.data.formats import FORMATS
from tuneglm.data.messages import Example, Message


def convert(name: str, **row: Any) -> Example:
    return FORMATS[name].convert(row, FORMATS[name].columns_with({}))


def turns(name: str, **row: Any) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in convert(name, **row).messages]


def multiturn(instruction: str) -> list[tuple[str, str]]:
    return turns("belle_multiturn", instruction=instruction, input="", output="好的")


def test_alpaca_of_the_hub_has_a_text_column() -> None:
    row = {"instruction": "a", "input": "", "output": "b", "text": "Below is … a … b"}
    assert turns("alpaca", **row) == [("user", "a"), ("assistant", "b")]


def test_firefly_keeps_its_kind() -> None:
    example = convert("firefly", kind="Couplet", input="春风", target="秋月")
    assert example.kind == "Couplet"
    assert example.messages == (Message("user", "春风"), Message("assistant", "秋月"))
    assert convert("firefly", input="春风", target="秋月").kind == ""


def test_belle_multiturn_is_a_conversation() -> None:
    assert multiturn("Human:你好\nAssistant:您好！\nHuman: 几点了？\nAssistant:") == [
        ("user", "你好"),
        ("assistant", "您好！"),
        ("user", "几点了？"),
        ("assistant", "好的"),
    ]
    assert multiturn("Human:你好") == [("user", "你好"), ("assistant", "好的")]


@pytest.mark.parametrize(
    "words",
    [
        "what does Human: mean, and Assistant: too?",
        "a log:\nHuman: who writes this?",
        "a log:\nHuman: hello\nHuman: hello again",
    ],
)
def test_the_marks_inside_a_turn_stay_text(words: str) -> None:
    assert multiturn(f"Human:{words}\nAssistant:") == [("user", words), ("assistant", "好的")]
    assert multiturn(f"Human:q\nAssistant:a\nHuman:{words}\nAssistant:")[2] == ("user", words)


def test_the_assistants_mark_before_the_open_one_is_text() -> None:
    """Two open answers cannot follow one another."""
    words = "continue this:\nAssistant: once upon a time"
    assert multiturn(f"Human:{words}\nAssistant:") == [("user", words), ("assistant", "好的")]


def test_the_assistants_own_mark_inside_its_turn_is_text() -> None:
    read = multiturn("Human:q\nAssistant:write\nAssistant: like this\nHuman:r\nAssistant:")
    assert read[1] == ("assistant", "write\nAssistant: like this")


def test_a_leading_answer_is_kept_and_not_trained() -> None:
    text = "Assistant:您好，请问？\nHuman:你好\nAssistant:"
    example = convert("belle_multiturn", instruction=text, output="好的")
    assert example.messages == (
        Message("assistant", "您好，请问？", trained=False),
        Message("user", "你好"),
        Message("assistant", "好的"),
    )


def test_words_before_the_first_turn_are_the_systems() -> None:
    assert multiturn("你是诗人。\nHuman:你好\nAssistant:")[0] == ("system", "你是诗人。")


@pytest.mark.parametrize(
    ("instruction", "sentence"),
    [
        (
            "你好",
            "the conversation (`instruction`) should hold `Human:` at the beginning of a line, "
            "found the text `你好`",
        ),
        (
            "Human:你好\nAssistant:您好",
            "the conversation (`instruction`) ends with an answer: expected the user's turn, "
            "or an open `Assistant:` after it",
        ),
        (
            "Human:你好\nAssistant:\nHuman:在吗\nAssistant:",
            "turn 2 (the assistant's) of the conversation (`instruction`) is empty",
        ),
    ],
)
def test_what_is_no_multiturn_row_is_said(instruction: str, sentence: str) -> None:
    with pytest.raises(RowError) as error:
        multiturn(instruction)
    assert error.value.sentence == sentence


CARD = "小云是一位耐心的图书管理员，喜欢讲笑话。"


def test_a_role_play_with_the_user_is_a_conversation() -> None:
    script = "用户：有新书吗？\n小云：有的，\n在二楼。\n用户：谢谢！\n小云：不客气。"
    assert turns("belle_dialog", instruction=CARD, input="", output=script) == [
        ("system", CARD),
        ("user", "有新书吗？"),
        ("assistant", "有的，\n在二楼。"),
        ("user", "谢谢！"),
        ("assistant", "不客气。"),
    ]


def test_the_one_whom_the_card_describes_is_the_assistant() -> None:
    script = "小云：您好！\n小李：有新书吗？\n小云：有。"
    messages = convert("belle_dialog", instruction=CARD, output=script).messages
    assert messages[1] == Message("assistant", "您好！", trained=False)
    assert [message.role for message in messages[2:]] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("card", "script"),
    [
        ("小云和小李是同事。", "小李：早！\n小云：早！"),
        (CARD, "小李：有新书吗？\n小云：有。\n小李：谢谢！"),
        (CARD, "小李：有新书吗？\n小李：有吗？\n小云：有。"),
        (CARD, "小李：早\n小云：早\n小王：早\n小云：早"),
        (CARD, "（图书馆里）\n小李：早\n小云：早"),
        (CARD, "小云是图书管理员。"),
    ],
)
def test_any_other_script_stays_one_answer(card: str, script: str) -> None:
    """Two characters of the card, the last word not its character's, a third one, a stage."""
    read = turns("belle_dialog", instruction=card, input="", output=script)
    assert read == [("user", card), ("assistant", script)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"先算\n3+4=7\n再算", "先算\n3+4=7\n再算"),
        (r"step 1\nSo x = 2\n\nDone", "step 1\nSo x = 2\n\nDone"),
        (r"a \neq b, \nu, \nabla f, \not\in", r"a \neq b, \nu, \nabla f, \not\in"),
        (r"a \neq b\n因此", "a \\neq b\n因此"),
        (r"\begin{matrix} a \\ b \\n \end{matrix}", r"\begin{matrix} a \\ b \\n \end{matrix}"),
        ("already\nbroken", "already\nbroken"),
    ],
)
def test_line_breaks_written_as_two_characters(text: str, expected: str) -> None:
    assert turns("belle_math", instruction="算", input="", output=text)[1][1] == expected


@pytest.mark.parametrize(
    "speaker", ["Assistant:", "Asssistent:", "Assistent:", "Assistenz:", "Assistant："]
)
@pytest.mark.parametrize("current", ["and 3?", "User: and 3?", "User：and 3?"])
def test_guanacos_chats_with_misspelt_roles(speaker: str, current: str) -> None:
    history = f"User: 1+1?\n{speaker} 2\nUser：2+2?\n{speaker} 4"
    assert turns("guanaco", instruction=history, input=current, output="?") == [
        ("user", "1+1?"),
        ("assistant", "2"),
        ("user", "2+2?"),
        ("assistant", "4"),
        ("user", "and 3?"),
        ("assistant", "?"),
    ]


def test_guanacos_current_turn_may_stand_in_the_instruction() -> None:
    expected = [("user", "hi"), ("assistant", "hello")]
    assert turns("guanaco", instruction="User: hi", input="", output="hello") == expected
    open_answer = "User: hi\nAssistant:"
    assert turns("guanaco", instruction=open_answer, output="Assistant: hello") == expected
    assert turns("guanaco", instruction="", input="User: hi", output="hello") == expected
    assert turns("guanaco", instruction="User: hi", input="you", output="hello")[0][1] == "hi\nyou"


def test_what_guanacos_system_knows_comes_first() -> None:
    row = {"instruction": "User: a\nAssistant: b", "input": "System: it rains\nUser: c"}
    assert turns("guanaco", **row, output="d") == [
        ("system", "it rains"),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
        ("assistant", "d"),
    ]


def test_guanacos_other_rows_are_flat() -> None:
    row = {"instruction": "Sum up:", "input": "User: a\nAssistant: b", "output": "a, b"}
    assert turns("guanaco", **row) == [
        ("user", "Sum up:\nUser: a\nAssistant: b"),
        ("assistant", "a, b"),
    ]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            {"instruction": "User: a\nAssistant: b", "input": ""},
            "the conversation (`instruction`) ends with an answer, and `input` is empty: "
            "the question is missing",
        ),
        (
            {"instruction": "User: a", "input": "User: b"},
            "two `user` turns in a row: the conversation ends with one and the input is another",
        ),
        (
            {"instruction": "User: a\nAssistant:\nUser: b", "input": ""},
            "turn 2 (the assistant's) of the conversation (`instruction`) is empty",
        ),
    ],
)
def test_a_bad_chat_says_what_is_wrong(row: dict[str, str], sentence: str) -> None:
    with pytest.raises(RowError) as error:
        convert("guanaco", **row, output="c")
    assert error.value.sentence == sentence
