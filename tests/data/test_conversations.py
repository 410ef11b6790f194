"""Lists of messages, as ShareGPT and OpenAI write them."""

import json
from typing import Any

import pytest

from tuneglm.data.columns import RowError
from tuneglm.data.formats import FORMATS
from tuneglm.data.messages import Example, Message

CALL = {"name": "weather", "arguments": {"city": "北京"}}


def convert(row: dict[str, Any], name: str = "messages") -> Example:
    return FORMATS[name].convert(row, FORMATS[name].columns_with({}))


def user(content: object = "q", **more: object) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def assistant(content: object = "a", **more: object) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def read(*messages: dict[str, Any]) -> tuple[Message, ...]:
    return convert({"messages": list(messages)}).messages


def test_sharegpt_names_its_speakers() -> None:
    row = {
        "conversations": [
            {"from": "system", "value": "s"},
            {"from": "human", "value": "1?"},
            {"from": "gpt", "value": "one"},
            {"from": "user", "value": "2?"},
            {"from": "ChatGPT", "value": "two"},
        ]
    }
    assert convert(row, "sharegpt").messages == (
        Message("system", "s"),
        Message("user", "1?"),
        Message("assistant", "one"),
        Message("user", "2?"),
        Message("assistant", "two"),
    )


@pytest.mark.parametrize("speaker", ["gpt", "assistant", "chatgpt", "bing", "bard"])
def test_every_assistant_of_sharegpt_is_one(speaker: str) -> None:
    row = {"conversations": [{"from": "human", "value": "q"}, {"from": speaker, "value": "a"}]}
    assert convert(row, "sharegpt").messages[1] == Message("assistant", "a")


def test_each_list_may_have_the_other_ones_keys() -> None:
    expected = (Message("user", "q"), Message("assistant", "a"))
    assert convert({"conversations": [user(), assistant()]}, "sharegpt").messages == expected
    ours = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    assert convert({"messages": ours}).messages == expected


def test_a_system_column_and_a_developer_are_the_system() -> None:
    row = {"system": "s", "messages": [user(), assistant()]}
    assert convert(row).messages[0] == Message("system", "s")
    assert read({"role": "developer", "content": "s"}, user(), assistant())[0].role == "system"
    assert read({"role": "system", "content": " "}, user(), assistant())[0].role == "user"


def test_keys_that_a_table_fills_with_null_are_absent() -> None:
    empty = {"name": None, "tool_calls": None, "weight": None, "from": None, "value": None}
    assert read({**user(), **empty}, {**assistant(), **empty}) == (
        Message("user", "q"),
        Message("assistant", "a"),
    )


def test_a_table_may_hold_the_list_as_json_text() -> None:
    row = {"messages": json.dumps([user(), assistant()]), "tools": "", "system": None}
    assert len(convert(row).messages) == 2


def test_content_may_be_a_list_of_text_parts() -> None:
    parts = [{"type": "text", "text": "look "}, {"type": "text", "text": "here"}]
    assert read(user(parts), assistant())[0].content == "look here"


@pytest.mark.parametrize(
    ("given", "trained"),
    [
        ({"weight": 0}, False),
        ({"weight": 1.0}, True),
        ({"loss": False}, False),
        ({"trained": True}, True),
        ({"loss": None}, None),
        ({}, None),
    ],
)
def test_a_message_may_say_whether_it_is_trained(
    given: dict[str, Any], trained: bool | None
) -> None:
    assert read(user(), assistant(**given))[1].trained is trained
    assert read(user(weight=0), assistant(**given))[0].trained is None


@pytest.mark.parametrize("arguments", [{"city": "北京"}, '{"city": "北京"}'])
def test_tool_calls_with_arguments_as_an_object_or_its_text(arguments: object) -> None:
    wrapped = {"id": "1", "type": "function", "function": {"name": "weather"}}
    wrapped["function"]["arguments"] = arguments  # type: ignore[index]
    tool = {"type": "function", "function": {"name": "weather", "parameters": {}}}
    example = convert(
        {
            "messages": [
                user(),
                assistant(None, tool_calls=[wrapped]),
                {"role": "tool", "tool_call_id": "1", "content": "sunny"},
                assistant(),
            ],
            "tools": [tool],
        }
    )
    assert example.tools == (tool,)
    assert example.messages[1] == Message("assistant", "", tool_calls=(CALL,))
    assert example.messages[2] == Message("tool", "sunny")


def test_sharegpt_writes_calls_as_turns_and_tools_as_text() -> None:
    turns = [
        {"from": "human", "value": "q"},
        {"from": "function_call", "value": json.dumps(CALL)},
        {"from": "observation", "value": "sunny"},
        {"from": "gpt", "value": "a"},
    ]
    row = {"conversations": turns, "tools": json.dumps([{"name": "weather"}])}
    example = convert(row, "sharegpt")
    assert example.tools == ({"name": "weather"},)
    assert [each.role for each in example.messages] == ["user", "assistant", "tool", "assistant"]
    assert example.messages[1].tool_calls == (CALL,)


def test_words_before_a_call_and_the_call_are_one_message() -> None:
    turns = [
        {"from": "human", "value": "q"},
        {"from": "gpt", "value": "let me see"},
        {"from": "function_call", "value": json.dumps([CALL, CALL])},
    ]
    example = convert({"conversations": turns}, "sharegpt")
    assert example.messages[1:] == (Message("assistant", "let me see", tool_calls=(CALL, CALL)),)


def test_a_call_and_its_result_may_be_one_entry() -> None:
    entry = {"role": "tool", "name": "weather", "parameters": {"city": "北京"}, "observation": "1"}
    call, result, _ = read(user(), entry, assistant())[1:]
    assert call.tool_calls == (CALL,)
    assert result == Message("tool", "1")


def test_metadata_and_tools_may_stand_in_messages() -> None:
    system = {"role": "system", "content": "", "tools": [{"name": "weather"}]}
    call = assistant("{}", metadata="weather")
    result = {"role": "observation", "content": "1"}
    example = convert({"messages": [system, user(), call, result, assistant()]})
    assert example.tools == ({"name": "weather"},)
    assert example.messages[1] == Message("assistant", "{}", "weather")


@pytest.mark.parametrize(
    ("messages", "sentence"),
    [
        ([], "the conversation (`messages`) is empty"),
        ("hello", "the conversation (`messages`) should be JSON, found the text `hello`"),
        (7, "the conversation (`messages`) should be a list of messages, found the number `7`"),
        (["hi"], "the conversation ends with the user: the answer is missing"),
        (["hi", user()], "message 1 of `messages` should be an object `{…}`, found the text `hi`"),
        (["hi", " "], "message 2 of `messages` (`assistant`) is empty"),
        (
            [{"content": "hi"}],
            "message 1 of `messages` has no role: expected `role` or `from`, found `content`",
        ),
        ([user(""), assistant()], "message 1 of `messages` (`user`) is empty"),
        ([user(), assistant(" ")], "message 2 of `messages` (`assistant`) is empty"),
        ([user(), assistant(5)], "message 2 of `messages` should be text, found the number `5`"),
        ([user(), user("again"), assistant()], "two `user` turns in a row, the second (`again`)"),
        ([user(), assistant(), assistant()], "two `assistant` turns in a row, the second (`a`)"),
        (
            [assistant(), user(), assistant()],
            "the conversation begins with `assistant` (`a`): expected `system` or `user`",
        ),
        (
            [user(), {"role": "tool", "content": "x"}, assistant()],
            "`tool` (`x`) comes after `user`: expected `assistant`",
        ),
        (
            [user(), assistant(), user()],
            "the conversation ends with the user: the answer is missing",
        ),
        (
            [user(), assistant(), {"role": "tool", "content": "x"}],
            "the conversation ends with a tool's result: the answer is missing",
        ),
        (
            [user(), assistant(weight=0.5)],
            "`weight` in message 2 of `messages` should be 0 or 1, found the number `0.5`",
        ),
        (
            [user(), assistant(weight=float("nan"))],
            "`weight` in message 2 of `messages` should be 0 or 1, found the number `nan`",
        ),
        (
            [user(), assistant(weight=0, loss=True)],
            "`weight` and `loss` in message 2 of `messages` disagree",
        ),
        (
            [user(loss=True), assistant()],
            "message 1 of `messages` should be trained by `loss`, and is the user's: "
            "only the assistant's messages can be",
        ),
        (
            [user([{"type": "image_url", "image_url": {}}]), assistant()],
            "part 1 of message 1 of `messages` is no text: expected `text`, "
            "found the type `image_url`",
        ),
        (
            [user(), assistant(tool_calls=[{"function": {"arguments": "{}"}}])],
            "call 1 of `tool_calls` in message 2 of `messages` (`assistant`) has no name: "
            "expected `name`",
        ),
        (
            [user(), assistant(tool_calls=[{"name": "f", "arguments": "{city"}])],
            "the arguments of call 1 of `tool_calls` in message 2 of `messages` (`assistant`) "
            "should be JSON, found the text `{city`",
        ),
        (
            [user(), assistant(tool_calls=[{"name": "f", "arguments": "[1]"}])],
            "the arguments of call 1 of `tool_calls` in message 2 of `messages` (`assistant`) "
            "should be an object `{…}`, found a list of 1",
        ),
        (
            [user(), assistant(tool_calls=[{"name": "f", "arguments": {"x": float("nan")}}])],
            "the arguments of call 1 of `tool_calls` in message 2 of `messages` (`assistant`) "
            "should be JSON, and holds `NaN`, `Infinity` or what JSON has no word for",
        ),
        (
            [user("\ud83d"), assistant()],
            "message 1 of `messages` holds `\\ud83d`, one half of a character, at position 1",
        ),
        (
            [user(), assistant("a", reasoning_content="hm")],
            "message 2 of `messages` (`assistant`) has a thought apart (`reasoning_content`)",
        ),
    ],
)
def test_a_bad_conversation_says_what_is_wrong(messages: object, sentence: str) -> None:
    with pytest.raises(RowError) as error:
        convert({"messages": messages})
    assert error.value.sentence == sentence


def test_an_unknown_role_names_the_nearest() -> None:
    with pytest.raises(RowError, match="role `humman`") as error:
        read({"role": "humman", "content": "q"}, assistant())
    assert error.value.remedy == "if `human` is meant, write it"


@pytest.mark.parametrize(
    ("tools", "sentence"),
    [
        ("[{", "`tools` should be JSON, found the text `[{`"),
        ({"name": "f"}, "`tools` should be a list of tools, found an object"),
        (["f"], "tool 1 of `tools` should be an object `{…}`, found the text `f`"),
        ([{"description": "d"}], "tool 1 of `tools` has no name: expected `name`"),
        ([{"name": "f", "x": "\ud83d"}], "tool 1 of `tools` holds one half of a character"),
    ],
)
def test_bad_tools_say_what_is_wrong(tools: object, sentence: str) -> None:
    with pytest.raises(RowError) as error:
        convert({"messages": [user(), assistant()], "tools": tools})
    assert error.value.sentence == sentence
