"""The prompt of ChatGLM3.

    [gMASK] sop <|system|> "\\n" text <|user|> "\\n" text <|assistant|> "name\\n" text …

The line with the metadata and the text are encoded apart, each with its own
dummy prefix. A tool call has the tool's name as metadata and a call of the
Python function `tool_call` as text; the tools are listed as JSON at the end of
the system message. Form: PROMPT.md of the ChatGLM3 repository.
"""

import ast
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tuneglm.data.messages import Example, Message, Rendered
from tuneglm.models.answers import Answer, json_text, read_turns
from tuneglm.models.prompt import Tokenizer, function_of, render_turns, turns_of

START = ("[gMASK]", "sop")
END = ("</s>", "<|user|>", "<|observation|>")
TOOLS = "Answer the following questions as best as you can. You have access to the following tools:"

# the space stands for the dummy prefix of the text, which is encoded apart
TEMPLATE = """\
{%- macro turn(role, metadata, text) -%}
<|{{ role }}|>{{ metadata }}
{{ ' ' ~ text if text }}
{%- endmacro -%}
{%- set listing = namespace(text='', functions=[]) -%}
{%- for tool in tools or [] -%}
{%- set listing.functions = listing.functions + [tool.function or tool] -%}
{%- endfor -%}
{%- if listing.functions -%}
{%- set listing.text = '\\n' ~ (listing.functions | tojson(indent=4)) -%}
{%- endif -%}
[gMASK]<sop>
{%- if listing.text and messages[0].role != 'system' -%}
{{ turn('system', '', 'TOOLS' ~ listing.text) }}
{%- endif -%}
{%- for message in messages -%}
{%- set role = 'observation' if message.role == 'tool' else message.role -%}
{%- set tail = listing.text if loop.first and role == 'system' else '' -%}
{%- if message.content or message.metadata or not message.tool_calls -%}
{{ turn(role, message.metadata or '', (message.content or '') ~ tail) }}
{%- endif -%}
{%- for call in message.tool_calls or [] -%}
{%- set function = call.function or call -%}
{%- set pairs = namespace(list=[]) -%}
{%- for key, value in function.arguments.items() -%}
{%- set value = "'" ~ value ~ "'" if value is string else value -%}
{%- set pairs.list = pairs.list + [key ~ '=' ~ value] -%}
{%- endfor -%}
{{ turn(role, function.name, '```python\\ntool_call(' ~ (pairs.list | join(', ')) ~ ')\\n```') }}
{%- endfor -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}
""".replace("TOOLS", TOOLS)


def render(
    tokenizer: Tokenizer, examples: Sequence[Example], *, generation_prompt: bool = False
) -> list[Rendered]:
    """See `tuneglm.models.family.Render`."""
    rows = [turns_of(with_tools(example), call_text) for example in examples]
    return render_turns(tokenizer, rows, START, generation_prompt=generation_prompt)


def end_tokens(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Ids at which an answer ends."""
    return tuple(tokenizer.convert_tokens_to_ids(list(END)))


def with_tools(example: Example) -> tuple[Message, ...]:
    """The messages, with the tools listed in the system message, which is made if need be."""
    if not example.tools:
        return example.messages
    functions = [function_of(tool) for tool in example.tools]
    listing = json.dumps(functions, ensure_ascii=False, indent=4)
    messages = example.messages
    if not messages or messages[0].role != "system":
        return (Message("system", f"{TOOLS}\n{listing}"), *messages)
    return (replace(messages[0], content=f"{messages[0].content}\n{listing}"), *messages[1:])


def call_text(arguments: Any) -> str:
    """A tool call's arguments as the Python that ChatGLM3 writes."""
    if isinstance(arguments, Mapping):
        arguments = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    return f"```python\ntool_call({arguments})\n```"


def read_answer(tokenizer: Any, ids: Sequence[int], tools: Collection[str]) -> Answer:
    """See `tuneglm.models.answers.ReadAnswer`."""
    return read_turns(tokenizer, ids, tools, _arguments)


def _arguments(text: str) -> str:
    """The arguments of the Python call that ChatGLM3 writes, as JSON; nothing of it is run."""
    start = text.find("tool_call(")
    try:
        call: Any = ast.parse(text[start:].removesuffix("```").strip(), mode="eval").body
        values = {each.arg: ast.literal_eval(each.value) for each in call.keywords}
        return json.dumps(values, ensure_ascii=False)
    except (SyntaxError, ValueError, TypeError, AttributeError, RecursionError, MemoryError):
        return json_text(text)
