"""What is said of a request with a field that is wrong, unknown, missing, or not supported."""

from pydantic import ValidationError

from tuneglm.api.refusals import Refusal

# what OpenAI has and this server has not → what is said of it
UNSUPPORTED = {
    "echo": "the answer comes back alone, without its prompt",
    "best_of": "all answers that are drawn come back; ask for them by `n`",
    "suffix": "a text is gone on with, and not filled in",
    "response_format": "answers are text, which is held to no other form",
    "modalities": "answers are text",
}


def refusal_of(error: ValidationError) -> Refusal:
    """The first thing that is wrong, as OpenAI says it."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    first = found[0]
    # of a field that may be one of several kinds, the kinds are named behind it
    place = [str(part) for part in first["loc"] if str(part)[:1].islower() and "[" not in str(part)]
    names = [part for part in place if part not in ("str", "list", "int", "float", "bool")]
    param = ".".join(names) or None
    if first["type"] == "extra_forbidden":
        message = f"Unrecognized request argument supplied: {param}"
        return Refusal(400, message, param=param, code="unknown_parameter")
    if first["type"] == "missing":
        message = f"Missing required parameter: '{param}'."
        return Refusal(400, message, param=param, code="missing_required_parameter")
    if names and names[0] in UNSUPPORTED:
        message = f"This value of `{names[0]}` is not supported: {UNSUPPORTED[names[0]]}."
        return Refusal(400, message, param=names[0], code="unsupported_value")
    said = first["msg"].removeprefix("Value error, ")
    message = f"Invalid value for '{param}': {said}." if param else f"{said}."
    return Refusal(400, message, param=param, code="invalid_value")
