"""What is answered where nothing can be: errors in OpenAI's shape."""

from typing import Any


class Refusal(Exception):  # noqa: N818 - no error of ours: an answer
    """A status, and why; `param` is the field that is wrong, `code` a word for programs."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.retry_after = retry_after

    @property
    def body(self) -> dict[str, Any]:
        """As OpenAI writes it."""
        kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "invalid_request_error")
        return {
            "error": {
                "message": self.message,
                "type": kind if self.status < 500 else "server_error",
                "param": self.param,
                "code": self.code,
            }
        }

    @property
    def headers(self) -> dict[str, str]:
        """When to try again, where that helps."""
        if self.retry_after is None:
            return {}
        return {"Retry-After": str(max(1, round(self.retry_after)))}


def no_such_model(name: str) -> Refusal:
    """A model's name that is not served."""
    message = f"The model `{name}` does not exist or you do not have access to it."
    return Refusal(404, message, param="model", code="model_not_found")


def too_long(context: int, asked: int) -> Refusal:
    """A prompt for which there is no room."""
    return Refusal(
        400,
        f"This model's maximum context length is {context} tokens. However, your messages "
        f"resulted in {asked} tokens, and there is no room for an answer. Please reduce the "
        "length of the messages.",
        param="messages",
        code="context_length_exceeded",
    )


def broken(error: BaseException | None) -> Refusal:
    """An answer that did not come: no fault of who asked."""
    return Refusal(500, f"The server had an error: {type(error).__name__}.", code="server_error")
