"""Tools in the family's own form: listed in the prompt, called in the answer."""

import json
from typing import Any

import openai
import pytest

from tests.api.serving import load, serving
from tuneglm.data.messages import Example, Message
from tuneglm.demo import MODEL_FOLDER, model_folders
from tuneglm.models import family_named
from tuneglm.models.answers import Answer, Call, plain_part
from tuneglm.models.chatglm3 import prompt as chatglm3
from tuneglm.models.glm4 import prompt as glm4
from tuneglm.models.loading import load_tokenizer
from tuneglm.models.native.answers import read_answer
from tuneglm.writing.row import Row

TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CALL = {"name": "weather", "arguments": {"city": "北京", "days": 3, "of": {"a": [1, None]}}}


def ids_of(tokenizer: Any, name: str, text: str) -> list[int]:
    head, *rest = (tokenizer(each, add_special_tokens=False)["input_ids"] for each in (name, text))
    return [*head, *rest[0]]


def test_a_call_is_read_as_it_was_trained() -> None:
    """What the renderer writes of a call, the same family reads back."""
    tokenizer, family = load_tokenizer(MODEL_FOLDER), family_named("chatglm3")
    messages = (
        Message("user", "weather?"),
        Message("assistant", "Let me look.", tool_calls=(CALL,)),
    )
    (row,) = family.render(tokenizer, [Example(messages, (TOOL,))])
    answer = [token for token, trained in zip(row.ids, row.trained) if trained][:-1]
    found = family.read_answer(tokenizer, answer, ["weather"])
    assert found.content == "Let me look."
    assert [(call.name, json.loads(call.arguments)) for call in found.calls] == [
        ("weather", CALL["arguments"])
    ]
    assert family.read_answer(tokenizer, answer, ["other"]).calls == ()


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("```python\ntool_call(city='北京', days=-3)\n```", '{"city": "北京", "days": -3}'),
        ("tool_call()", "{}"),
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ("tool_call(__import__('os').getcwd())", "{}"),
        ("tool_call(x=__import__('os'))", "tool_call(x=__import__('os'))"),
        ("tool_call(", "tool_call("),
    ],
)
def test_python_is_read_and_not_run(text: str, arguments: str) -> None:
    assert chatglm3._arguments(text) == arguments


def test_glm4_writes_json_below_a_name() -> None:
    tokenizer = load_tokenizer(MODEL_FOLDER)
    ids = ids_of(tokenizer, "weather\n", '{"city": "北京"}')
    assert glm4.read_answer(tokenizer, ids, ["weather"]) == Answer(
        "", (Call("weather", '{"city": "北京"}'),)
    )
    plain = ids_of(tokenizer, "\n", "It rains.")
    assert glm4.read_answer(tokenizer, plain, ["weather"]) == Answer("It rains.")


class Letters:
    """A tokenizer whose tokens are letters."""

    all_special_tokens = ("<|observation|>",)

    @staticmethod
    def decode(ids: list[int], skip_special_tokens: bool = True) -> str:
        return "".join(map(chr, ids))


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("It rains.", Answer("It rains.")),
        (
            "One moment.\n<tool_call>weather\n<arg_key>city</arg_key>\n"
            "<arg_value>北京</arg_value>\n<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>",
            Answer("One moment.", (Call("weather", '{"city": "北京", "days": 3}'),)),
        ),
        (
            '<tool_call>\n{"name": "weather", "arguments": {"city": "A"}}\n</tool_call>\n'
            '<tool_call>{"name": "weather", "arguments": {"city": "B"}}</tool_call>',
            Answer("", (Call("weather", '{"city": "A"}'), Call("weather", '{"city": "B"}'))),
        ),
        ('weather\n{"city": "A"}', Answer("", (Call("weather", '{"city": "A"}'),))),
        (
            '{"name": "weather", "parameters": {"city": "A"}}',
            Answer("", (Call("weather", '{"city": "A"}'),)),
        ),
        ('{"name": "other", "parameters": {}}', Answer('{"name": "other", "parameters": {}}')),
        ("weather\nis fine", Answer("weather\nis fine")),
        ("<tool_call>nonsense", Answer("<tool_call>nonsense")),
    ],
)
def test_forms_of_chat_templates(said: str, answer: Answer) -> None:
    assert read_answer(Letters(), [*map(ord, said)], ["weather"]) == answer


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("It rai", "It rai"),
        ("w", ""),
        ("weat", ""),
        ("weather", ""),
        ("weather\n", ""),
        ("weather\n{", ""),
        ("weathered stones", "weathered stones"),
        ("weather is fine", "weather is fine"),
        ('{"a', ""),
        ("Wait.\nwea", "Wait.\n"),
        ("Wait.\nwe all", "Wait.\nwe all"),
        ("Wait. <tool", "Wait. "),
        ("Wait. <tool_call>weather", "Wait. "),
        ("1 < 2", "1 < 2"),
        ("", ""),
    ],
)
def test_text_streams_until_it_may_be_a_call(text: str, plain: str) -> None:
    assert plain_part(text, ["weather"]) == plain


class Scripted:
    """A batch whose rows write what a script says: of a model that knows tools, what it would."""

    has_room = True

    def __init__(self, script: list[int]) -> None:
        self.rows: list[Row] = []
        self.script = script

    def join(self, row: Row) -> None:
        self.rows.append(row)

    def leave(self, row: Row) -> None:
        self.rows.remove(row)

    def knows(self, adapter: str) -> bool:
        return True

    def adapters_changed(self) -> None: ...

    def read(self) -> None: ...

    def write(self) -> list[Row]:
        for row in self.rows:
            row.append(self.script[len(row.ids)], None)
        return [*self.rows]


def test_a_conversation_with_a_tool() -> None:
    with serving(load(MODEL_FOLDER), slots=1) as running:
        chat = running.service.served.chat
        end = chat.tokenizer.convert_tokens_to_ids("<|observation|>")
        call = ids_of(chat.tokenizer, "weather\n", "```python\ntool_call(city='A')\n```")
        batch: Any = Scripted([*call, end])
        running.service.scheduler._batch = batch
        client: Any = running.client().chat.completions
        said: list[Any] = [{"role": "user", "content": "What is the weather?"}]
        options: Any = {"model": "model", "max_tokens": 60, "tools": [TOOL]}
        answer = client.create(messages=said, **options).choices[0]
        assert answer.finish_reason == "tool_calls" and answer.message.content is None
        (called,) = answer.message.tool_calls
        assert called.function.name == "weather"
        assert json.loads(called.function.arguments) == {"city": "A"}
        told = {"role": "tool", "tool_call_id": called.id, "content": "rain"}
        batch.script = [*ids_of(chat.tokenizer, "\n", "It rains."), chat.end_tokens[0]]
        more = [*said, answer.message.model_dump(exclude_none=True), told]
        last = client.create(messages=more, **options)
        assert last.choices[0].message.content == "It rains."
        assert last.choices[0].finish_reason == "stop"
        listed = chat.prompt([*more], [TOOL])
        assert last.usage.prompt_tokens == len(listed) > len(chat.prompt([*more]))
        pieces = [*client.create(messages=more, stream=True, **options)]
        texts = [piece.choices[0].delta.content for piece in pieces]
        assert "".join(text or "" for text in texts) == "It rains." and len(texts) > 4
        both = "It may.\n"
        batch.script = [*ids_of(chat.tokenizer, "\n", both), *call, end]
        whole = client.create(messages=said, **options).choices[0].message
        texts = [
            piece.choices[0].delta.content
            for piece in client.create(messages=said, stream=True, **options)
        ]
        assert "".join(text or "" for text in texts) == whole.content
        batch.script = [*call, end]
        *_, calling, closing = client.create(messages=said, stream=True, **options)
        assert calling.choices[0].delta.tool_calls[0].function.name == "weather"
        assert closing.choices[0].finish_reason == "tool_calls"
        plain = client.create(messages=said, **options, tool_choice="none").choices[0]
        assert plain.message.tool_calls is None and plain.finish_reason == "stop"


def test_a_family_without_tools_says_so() -> None:
    with serving(load(model_folders()["chatglm"]), slots=1) as running:
        client: Any = running.client().chat.completions
        said = [{"role": "user", "content": "hello"}]
        with pytest.raises(openai.BadRequestError, match="has no place"):
            client.create(model="model_chatglm", messages=said, tools=[TOOL])
        assert client.create(model="model_chatglm", messages=said).choices[0].message.content
