"""What stands before every request: whose it is, from where, and what a browser may do with it."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from tuneglm.web.users import Sessions, is_local
from tuneglm.web.words import LANGUAGES, in_each_language

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SESSION, LANGUAGE = "tuneglm_session", "tuneglm_language"
# and what a browser asks for of itself
OPEN_PATHS = ("/login", "/favicon.ico", "/manifest.json")
# a page of ours needs nothing from elsewhere, and is shown in nobody else's
HEADERS = {
    "content-security-policy": "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' "
    "'unsafe-eval'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'self'; "
    "form-action 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


@dataclass(frozen=True)
class Guard:
    """ASGI: lets through what comes from the page itself, of somebody who is signed in.

    sessions  None where the page is open to whoever sits at this machine: then a request
              has to name this machine, or a name that leads here from elsewhere could be used
    """

    app: App
    sessions: Sessions | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        refusal = self._refusal(scope, headers)
        if refusal is None:
            await self.app(scope, receive, self._with_headers(scope, send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _answer(send, *refusal)

    def _refusal(
        self, scope: Scope, headers: dict[str, str]
    ) -> tuple[int, str, dict[str, str]] | None:
        """(status, key of a text, headers) of what is not let through."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.sessions is None and not is_local(_name(f"//{host}")):
            return 403, "door.machine", {}
        # a page without an origin of its own, such as one in a sandbox, may look and do nothing
        only_looks = origin == "null" and scope.get("method") in ("GET", "HEAD")
        if origin is not None and not only_looks and origin.partition("://")[2] != host:
            return 403, "door.elsewhere", {}
        if self.sessions is None or scope["path"] in OPEN_PATHS:
            return None
        if self.sessions.user(cookies(headers.get("cookie", "")).get(SESSION)) is not None:
            return None
        if "text/html" in headers.get("accept", ""):
            return 303, "door.sign_in", {"location": "/login", **_kept(scope["path"])}
        return 401, "door.sign_in", {}

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        kept = _kept(scope["path"])

        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                given = {**HEADERS, **kept}
                added = [(key.encode(), value.encode()) for key, value in given.items()]
                message["headers"] = [*message.get("headers", []), *added]
            await send(message)

        return sent


def _kept(path: str) -> dict[str, str]:
    """The header by which a browser keeps the language of a page's address."""
    language = path.strip("/")
    if language not in LANGUAGES:
        return {}
    return {"set-cookie": f"{LANGUAGE}={language}; Path=/; Max-Age=31536000; SameSite=Lax"}


def _name(address: str) -> str:
    """Of the machine in an address; nothing of one that is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def cookies(header: str) -> dict[str, str]:
    """Name → value; nothing of a header that is none."""
    try:
        return {key: morsel.value for key, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}


def language_of(accepted: str, chosen: str | None) -> str:
    """The language that was chosen, else the browser's first that the page speaks."""
    if chosen in LANGUAGES:
        return str(chosen)
    weighted = []
    for place, part in enumerate(accepted.split(",")):
        tag, _, weight = part.strip().partition(";q=")
        number = float(weight) if weight.replace(".", "", 1).isdigit() else 1.0
        weighted.append((-number, place, tag.lower().partition("-")[0]))
    return next((tag for _, _, tag in sorted(weighted) if tag in LANGUAGES), "en")


async def _answer(send: Send, status: int, key: str, headers: dict[str, str]) -> None:
    given = {"content-type": "text/plain; charset=utf-8", **HEADERS, **headers}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(key.encode(), value.encode()) for key, value in given.items()],
        }
    )
    await send({"type": "http.response.body", "body": in_each_language(key).encode()})
