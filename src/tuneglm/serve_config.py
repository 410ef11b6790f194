"""How a model is served: every option of `tuneglm serve`, once."""

from typing import Annotated

from pydantic import Field

from tuneglm.section import Section

LOCAL = ("127.0.0.1", "localhost", "::1")


class ServeConfig(Section):
    """Where a server listens, and what it lets people ask of it."""

    host: str = "127.0.0.1"
    """Address to listen at; others than this machine need a key."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen at; 0 takes a free one."""
    name: str | None = None
    """What the model is called in requests; its folder's name when left out."""
    key_file: str | None = None
    """File with the keys that are let in, one a line; or one key in TUNEGLM_API_KEY."""
    adapter_folder: str = "."
    """Folder below which adapters may lie that are added at run time."""
    slots: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Answers that are written at once; by memory when left out, at most 16, on a GPU 64."""
    context: Annotated[int, Field(ge=16)] | None = None
    """Longest conversation with its answer, in tokens; by memory when left out, at most 8192."""
    max_tokens: Annotated[int, Field(ge=1)] = 2048
    """Longest answer, in tokens."""
    queue: Annotated[int, Field(ge=1)] = 256
    """Answers that wait for a place; beyond them comes 429."""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """Requests that each key, or each address where there are no keys, may make in a minute."""
    tokens_per_minute: Annotated[int, Field(ge=1)] | None = None
    """Tokens, read and written, that each of them may use in a minute."""
    request_size: Annotated[int, Field(ge=1024)] = 2**20
    """Largest request, in bytes."""
    stop_seconds: Annotated[int, Field(ge=0)] = 30
    """How long running answers may go on when the server is stopped."""
    log_prompts: bool = False
    """Write prompts and answers into the log."""
