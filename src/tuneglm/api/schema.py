"""What a request may say: OpenAI's fields, strictly.

A field that OpenAI has and that changes nothing here is taken and passed over; one that would
change the answer and cannot be honoured is refused, and so is one that OpenAI does not have.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from tuneglm.api.messages import Message, Record, Tool, ToolChoice

MOST_CHOICES = 16
# what a place may ask for beside the drawn token
MOST_LIKELIEST = 20

Temperature = Annotated[float, Field(ge=0, le=2)]
Share = Annotated[float, Field(gt=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Choices = Annotated[int, Field(ge=1, le=MOST_CHOICES)]
Count = Annotated[int, Field(ge=1)]
# looked at in each step: as many as make sense
Bias = Annotated[dict[str, Annotated[float, Field(ge=-100, le=100)]], Field(max_length=1024)]
OneStop = Annotated[str, Field(max_length=256)]
Stop = OneStop | Annotated[list[OneStop], Field(max_length=4)]


class StreamOptions(Record):
    """What a stream tells beside the answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ResponseFormat(Record):
    """Text alone: answers are not held to a form."""

    type: Literal["text"]


class Drawn(Record):
    """What chats and completions ask alike."""

    model: str
    temperature: Temperature | None = None
    top_p: Share | None = None
    n: Choices | None = None
    stop: Stop | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    logit_bias: Bias | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    user: str | None = None

    @field_validator("temperature", "top_p", "presence_penalty", "frequency_penalty", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        # true and false are numbers to Python alone
        if isinstance(value, bool):
            raise ValueError("should be a number")
        return value

    @property
    def stops(self) -> list[str]:
        """Before which an answer ends."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [stop for stop in given if stop]

    @property
    def tells_usage(self) -> bool:
        """Whether a stream ends with its tokens' number."""
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatRequest(Drawn):
    """`/v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_LIKELIEST)] | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    modalities: list[Literal["text"]] | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    @property
    def listed_tools(self) -> list[dict[str, Any]]:
        """The tools that the model is told of."""
        if self.tool_choice == "none":
            return []
        return [tool.model_dump(exclude_none=True) for tool in self.tools or []]


Ids = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
Texts = Annotated[list[str], Field(min_length=1, max_length=2048)]
ManyIds = Annotated[list[Ids], Field(min_length=1, max_length=2048)]


class CompletionRequest(Drawn):
    """`/v1/completions`: a text is gone on with, in no form of a conversation."""

    prompt: str | Texts | Ids | ManyIds
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    echo: Literal[False] | None = None
    best_of: Literal[1] | None = None
    suffix: None = None


class EmbeddingRequest(Record):
    """`/v1/embeddings`."""

    model: str
    input: str | Texts | Ids | ManyIds
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Count | None = None
    user: str | None = None

    @field_validator("input", mode="before")
    @classmethod
    def _filled(cls, value: object) -> object:
        if value == "" or (isinstance(value, list) and (not value or "" in value)):
            raise ValueError("an empty text has no vector")
        return value


class AdapterRequest(Record):
    """`POST /v1/adapters`: a name and the folder that it stands for."""

    name: Annotated[str, Field(pattern=r"^[^\s/=]{1,64}$")]
    path: Annotated[str, Field(min_length=1, max_length=4096)]
