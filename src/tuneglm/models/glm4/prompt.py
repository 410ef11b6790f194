"""The prompt of GLM-4.

    [gMASK] <sop> <|system|> "\\n" text <|user|> "\\n" text <|assistant|> "name\\n" text …

The line with the metadata and the text are encoded apart. A tool call has the
tool's name as metadata and its arguments as JSON; the tools are listed in a
system message of their own before all others. That message begins at its
heading: the sentence about who the model is, which the checkpoints' own chat
template puts before it, would fight with whatever a tuned model is taught.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tuneglm.data.messages import Example, Message, Rendered
from tuneglm.models.answers import Answer, json_text, read_turns
from tuneglm.models.prompt import Tokenizer, function_of, render_turns, turns_of

START = ("[gMASK]", "<sop>")
END = ("<|endoftext|>", "<|user|>", "<|observation|>")
TOOLS = "# 可用工具"
TOOL_RULE = "在调用上述函数时，请使用 Json 格式表示调用的参数。"

TEMPLATE = """\
[gMASK]<sop>
{%- if tools -%}
<|system|>
TOOLS
{%- for tool in tools -%}
{%- set function = tool.function or tool %}

## {{ function.name }}

{{ function | tojson(indent=4) }}
RULE
{%- endfor -%}
{%- endif -%}
{%- for message in messages -%}
{%- set role = 'observation' if message.role == 'tool' else message.role -%}
{%- if message.content or message.metadata or not message.tool_calls -%}
<|{{ role }}|>{{ message.metadata or '' }}
{{ message.content or '' }}
{%- endif -%}
{%- for call in message.tool_calls or [] -%}
{%- set function = call.function or call -%}
<|{{ role }}|>{{ function.name }}
{{ function.arguments if function.arguments is string else function.arguments | tojson }}
{%- endfor -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}
""".replace("TOOLS", TOOLS).replace("RULE", TOOL_RULE)


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
    """The messages, after a system message that lists the tools."""
    if not example.tools:
        return example.messages
    listing = "".join(_tool_text(function_of(tool)) for tool in example.tools)
    return (Message("system", TOOLS + listing), *example.messages)


def _tool_text(function: Mapping[str, Any]) -> str:
    described = json.dumps(function, ensure_ascii=False, indent=4)
    return f"\n\n## {function.get('name', '')}\n\n{described}\n{TOOL_RULE}"


def call_text(arguments: Any) -> str:
    """A tool call's arguments as JSON."""
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def read_answer(tokenizer: Any, ids: Sequence[int], tools: Collection[str]) -> Answer:
    """See `tuneglm.models.answers.ReadAnswer`."""
    return read_turns(tokenizer, ids, tools, json_text)
