"""A conversation's messages and the tools beside it, as OpenAI writes them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_NAME = r"^[a-zA-Z0-9_-]{1,64}$"


class Record(BaseModel):
    """Kinds are not converted, and an unknown field is an error."""

    model_config = ConfigDict(strict=True, extra="forbid", protected_namespaces=())


class Part(Record):
    """A piece of a message's text."""

    type: Literal["text"]
    text: str


class Function(Record):
    """A tool that the model may call."""

    name: Annotated[str, Field(pattern=_NAME)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Record):
    """OpenAI's wrapping of a function."""

    type: Literal["function"]
    function: Function


class CalledFunction(Record):
    """A function's name and its arguments as JSON text."""

    name: Annotated[str, Field(max_length=256)]
    arguments: str


class ToolCall(Record):
    """A call that the assistant made before."""

    id: str | None = None
    type: Literal["function"] = "function"
    function: CalledFunction
    index: int | None = None


class Message(Record):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: None = None
    audio: None = None
    function_call: None = None
    annotations: list[Any] | None = None


class NamedFunction(Record):
    """A tool by its name alone."""

    name: Annotated[str, Field(max_length=256)]


class ToolChoice(Record):
    """The tool that has to be called."""

    type: Literal["function"]
    function: NamedFunction
