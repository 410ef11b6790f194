"""`tool_choice`: an answer begins as the family writes a call, and goes on as the model likes."""

from typing import Any

import openai
import pytest
import torch

from tests.api.serving import load, serving
from tests.api.vocabularies import NAMES, talking
from tuneglm.api.refusals import Refusal
from tuneglm.api.schema import ChatRequest
from tuneglm.api.tool_choice import openings
from tuneglm.demo import MODEL_FOLDER
from tuneglm.writing.row import Row, Sampling
from tuneglm.writing.sampling import draw

SAID: Any = [{"role": "user", "content": "What is the weather?"}]


def tool(name: str, required: list[str] | None = None) -> Any:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    named = {"name": name, "parameters": parameters | {"required": required or []}}
    return {"type": "function", "function": named}


TOOLS = [tool("weather", ["city"]), tool("clock")]
NAMED: Any = {"type": "function", "function": {"name": "clock"}}


def asked(choice: Any, tools: Any = TOOLS) -> ChatRequest:
    return ChatRequest(model="m", messages=SAID, tools=tools, tool_choice=choice)


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_call_begins_in_the_familys_own_form(name: str) -> None:
    chat = talking(name)
    known = {
        "chatglm3": ["weather\n", "clock\n"],
        "glm4": ["weather\n", "clock\n"],
        "byte-level": ['<tool_call>{"name": "weather"', '<tool_call>{"name": "clock"'],
    }[name]
    both = openings(chat, SAID, asked("required"))
    assert [
        chat.decode(list(ids)).lstrip()[: len(begin)] for ids, begin in zip(both, known)
    ] == known
    assert openings(chat, SAID, asked(NAMED)) == both[1:]
    for free in (None, "none", "auto"):
        assert openings(chat, SAID, asked(free)) == ()
    # whatever follows that is a call: the family reads it as one
    call = chat.conversation_ids(
        [
            *SAID,
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": {"name": "weather", "arguments": '{"city": "A"}'}}],
            },
        ],
        [each.model_dump(exclude_none=True) for each in asked("required").tools or []],
    )
    answer = call[len(chat.prompt(SAID, asked("required").listed_tools)) :]
    while answer[-1] in chat.end_tokens:
        answer.pop()
    assert tuple(answer[: len(both[0])]) == tuple(both[0])
    (found,) = chat.family.read_answer(chat.tokenizer, answer, ["weather"]).calls
    assert (found.name, found.arguments) == ("weather", '{"city": "A"}')


@pytest.mark.parametrize(
    ("choice", "tools", "said"),
    [
        ("required", None, "only allowed when `tools`"),
        (NAMED, None, "only allowed when `tools`"),
        (NAMED, TOOLS[:1], "`clock`, which is none of `tools`"),
    ],
)
def test_what_cannot_be_called(choice: Any, tools: Any, said: str) -> None:
    with pytest.raises(Refusal, match=said) as refused:
        openings(talking("byte-level"), SAID, asked(choice, tools))
    assert refused.value.status == 400 and refused.value.param == "tool_choice"


def test_a_template_that_knows_no_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = talking("byte-level")
    plain = str(chat.tokenizer.chat_template).replace("message.tool_calls or []", "[]")
    monkeypatch.setattr(chat.tokenizer, "chat_template", plain)
    with pytest.raises(Refusal, match="has no form for a call"):
        openings(chat, SAID, asked("required"))


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_only_openings_can_be_drawn_until_one_is_written(temperature: float) -> None:
    chosen = Sampling(temperature, seed=1, openings=((3, 4, 5), (3, 7)), bias={1: 50.0})
    endings = set()
    for seed in range(20):
        row = Row([1], 9, Sampling(**{**vars(chosen), "seed": seed}), "base")
        for _ in range(5):
            logits = torch.randn(1, 12, generator=torch.Generator().manual_seed(seed))
            row.append(*draw(logits, [row])[0])
        begun = (3, 4, 5) if row.ids[1] == 4 else (3, 7)
        endings.add(begun)
        assert tuple(row.ids[: len(begun)]) == begun
        # then nothing holds it: the bias does what it does
        assert set(row.ids[len(begun) :]) == {1}
    assert endings == {(3, 4, 5), (3, 7)}


def test_the_official_client_gets_its_call() -> None:
    with serving(load(MODEL_FOLDER), slots=2) as running:
        client: Any = running.client().chat.completions
        # what the small model reads has no room for parameters
        short = [{"type": "function", "function": {"name": name}} for name in ("weather", "clock")]
        options: Any = {"model": "model", "messages": SAID, "tools": short, "max_tokens": 40}
        named = client.create(**options, tool_choice=NAMED).choices[0]
        assert named.finish_reason == "tool_calls" and named.message.content is None
        assert named.message.tool_calls[0].function.name == "clock"
        any_of = client.create(**options, tool_choice="required").choices[0].message
        assert any_of.tool_calls[0].function.name in ("weather", "clock")
        *_, calling, closing = client.create(**options, tool_choice=NAMED, stream=True)
        assert calling.choices[0].delta.tool_calls[0].function.name == "clock"
        assert closing.choices[0].finish_reason == "tool_calls"
        with pytest.raises(openai.BadRequestError, match="none of `tools`"):
            other = {"type": "function", "function": {"name": "x"}}
            client.create(**options, tool_choice=other)
