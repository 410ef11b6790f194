"""Who is let in, how often, and with how much."""

import hashlib
import hmac
import json
import os
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneglm.api.refusals import Refusal
from tuneglm.errors import ConfigError
from tuneglm.serve_config import LOCAL, ServeConfig

KEY_VARIABLE = "TUNEGLM_API_KEY"
MINUTE = 60.0
# addresses and keys whose use is remembered
MOST_CALLERS = 10_000
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")


def keys_of(config: ServeConfig) -> list[str]:
    """The keys that are let in; raises ConfigError where others than this machine need one."""
    keys = [os.environ[KEY_VARIABLE].strip()] if os.environ.get(KEY_VARIABLE) else []
    if config.key_file is not None:
        file = Path(config.key_file).expanduser()
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"Cannot read the keys in `{file}`: {error}.") from None
        keys += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not keys:
            raise ConfigError(f"`{file}` holds no key.", "write one a line")
    if not keys and config.host not in LOCAL:
        raise ConfigError(
            f"At `{config.host}` others than this machine could ask, and no key is set.",
            f"name a file of keys (--key-file), or set {KEY_VARIABLE}",
        )
    return keys


class Keys:
    """Compared in a time that says nothing of how much of a key was right."""

    def __init__(self, keys: Sequence[str]) -> None:
        # digests are of one length, whatever a key's is
        self._digests = [_digest(key) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def refuse_wrong(self, authorization: str) -> None:
        """Raises Refusal where there are keys and this is none of them."""
        if not self._digests:
            return
        scheme, _, given = authorization.partition(" ")
        digest = _digest(given.strip())
        # all are compared, the first right one ends nothing
        right = [hmac.compare_digest(digest, known) for known in self._digests]
        if scheme.lower() != "bearer" or not any(right):
            said = "Incorrect API key provided." if given else "You didn't provide an API key."
            message = f"{said} Send it as `Authorization: Bearer KEY`."
            raise Refusal(401, message, code="invalid_api_key")


@dataclass
class _Use:
    requests: float
    tokens: float
    at: float


class Rates:
    """Requests and tokens a minute of each caller: buckets that fill again steadily."""

    def __init__(self, requests: int | None, tokens: int | None) -> None:
        self._requests, self._tokens = requests, tokens
        self._uses: OrderedDict[str, _Use] = OrderedDict()

    def begin(self, caller: str) -> None:
        """Count a request; raises Refusal where there were too many, or too many tokens."""
        if self._requests is None and self._tokens is None:
            return
        use = self._use(caller)
        for left, most, what in (
            (use.requests - 1, self._requests, "requests"),
            (use.tokens, self._tokens, "tokens"),
        ):
            if most is not None and left < 0:
                raise Refusal(
                    429,
                    f"Rate limit reached: {most} {what} per minute. Please try again later.",
                    code="rate_limit_exceeded",
                    retry_after=-left * MINUTE / most,
                )
        use.requests -= 1

    def spend(self, caller: str, tokens: int) -> None:
        """Count an answer's tokens, which are known at its end: the next request may wait."""
        if self._tokens is not None:
            self._use(caller).tokens -= tokens

    def _use(self, caller: str) -> _Use:
        now = time.monotonic()
        requests, tokens = self._requests or 0, self._tokens or 0
        use = self._uses.setdefault(caller, _Use(requests, tokens, now))
        share = (now - use.at) / MINUTE
        use.requests = min(requests, use.requests + share * requests)
        use.tokens = min(tokens, use.tokens + share * tokens)
        use.at = now
        self._uses.move_to_end(caller)
        while len(self._uses) > MOST_CALLERS:
            self._uses.popitem(last=False)
        return use


async def read_body(pieces: AsyncIterator[bytes], most: int, declared: str | None) -> bytes:
    """A request's body; raises Refusal where it is larger than may be."""
    too_large = Refusal(
        413, f"The request is larger than {most:,} bytes.", code="request_too_large"
    )
    if declared is not None and declared.isdecimal() and int(declared) > most:
        raise too_large
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > most:
            raise too_large
    return bytes(body)


def read_object(body: bytes, kind: str) -> dict[str, Any]:
    """A body as a JSON object; raises Refusal for what is none.

    Only what says that it is JSON is taken: a page of another site cannot send that unasked.
    """
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise Refusal(
            400, "Send JSON, with the header `Content-Type: application/json`.", code="invalid_json"
        )
    try:
        found = json.loads(body.decode("utf-8"), parse_constant=_no_number)
        if _HALF_CHARACTER.search(body):
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        message = "We could not parse the JSON body of your request."
        raise Refusal(400, message, code="invalid_json") from None
    if not isinstance(found, dict):
        raise Refusal(400, "The body of a request is a JSON object.", code="invalid_json")
    return found


def _no_number(word: str) -> float:
    raise ValueError(word)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
