"""The server: a page for each language, a door where passwords are asked for."""

import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from html import escape
from pathlib import Path
from typing import Any

from tuneglm.errors import ConfigError
from tuneglm.web.foresee import Plans
from tuneglm.web.guard import LANGUAGE, SESSION, Guard, language_of
from tuneglm.web.site import Site
from tuneglm.web.users import SESSION_SECONDS, Sessions
from tuneglm.web.words import LANGUAGES, TAGS, Words, in_each_language

EVERYWHERE = ("0.0.0.0", "::")
PORTS = range(7860, 7880)
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" '
    'rx="7" fill="#2563eb"/><path d="M9 10h14M16 10v13" stroke="#fff" stroke-width="4" '
    'stroke-linecap="round"/></svg>'
)


def serve(site: Site, users: dict[str, str], chosen: str, bound: socket.socket) -> None:
    """Answer until Ctrl-C; runs that are at work go on."""
    import uvicorn

    host, port, *_ = bound.getsockname()
    with ExitStack() as stack:
        # what is being uploaded; nobody else reads it, and nothing of it stays
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tuneglm-web-"))
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        app = make_app(site, users, chosen)
        print(f"Open     {where_to_open(host, port)}")
        print(f"Folder   {site.work.root}")
        print("Ctrl-C ends the page; runs that are at work go on.", flush=True)
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[bound])


def where_to_open(host: str, port: int) -> str:
    """The address to type; one that means every address of the machine is none to type."""
    if host in EVERYWHERE:
        elsewhere = f"from elsewhere: http://NAME-OF-THIS-MACHINE:{port}"
        return f"http://{'[::1]' if host == '::' else '127.0.0.1'}:{port}  ({elsewhere})"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_app(site: Site, users: dict[str, str], chosen: str) -> Any:
    """The whole page as an ASGI application."""
    import gradio as gr
    from fastapi import FastAPI
    from fastapi.requests import Request
    from fastapi.responses import Response

    from tuneglm.web.page import page_of
    from tuneglm.web.record import Page
    from tuneglm.web.talk import Models

    sessions = Sessions(users) if users else None
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def begin(request: Request) -> Response:
        accepted = request.headers.get("accept-language", "")
        away = f"/{language_of(accepted, request.cookies.get(LANGUAGE))}/"
        # a browser follows; who looks without one reads what to do
        text = in_each_language("door.open")
        return Response(text, 303, {"location": away}, "text/plain; charset=utf-8")

    def icon() -> Response:
        return Response(ICON, media_type="image/svg+xml")

    app.add_api_route("/", begin)
    # browsers ask for it of themselves
    app.add_api_route("/favicon.ico", icon)
    app.add_api_route("/manifest.json", lambda: {"name": "tuneglm", "start_url": "/"})
    if sessions is not None:
        _add_door(app, sessions)
    models, plans = Models(), Plans()
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    for language in LANGUAGES:
        gr.mount_gradio_app(
            app,
            page_of(Page(site, Words(language), models, plans, chosen)),
            path=f"/{language}",
            auth_dependency=_user_of(sessions),
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            show_error=False,
            # what is somewhat too large is refused by a sentence of ours
            max_file_size=2 * site.work.upload,
            theme=_theme(),
            css=style,
            head=_language_script(language),
        )
    return Guard(app, sessions)


def bound_socket(host: str, port: int | None) -> socket.socket:
    """A socket at that port, or at the first of PORTS that is free; raises ConfigError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in [port] if port is not None else PORTS:
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host.strip("[]"), number))
        except (OSError, OverflowError) as error:
            bound.close()
            reason = str(error).partition("] ")[2] or str(error)
            continue
        return bound
    where = f"{host}:{port}" if port is not None else f"{host}:{PORTS[0]}–{PORTS[-1]}"
    raise ConfigError(f"Cannot listen at `{where}`: {reason}.", "choose another --port or --host")


def _user_of(sessions: Sessions | None) -> Callable[[Any], str | None] | None:
    if sessions is None:
        return None
    known = sessions
    return lambda request: known.user(request.cookies.get(SESSION))


def _add_door(app: Any, sessions: Sessions) -> None:
    """Signing in and out."""
    from fastapi import Form
    from fastapi.requests import Request
    from fastapi.responses import HTMLResponse, RedirectResponse

    def words_for(request: Request) -> Words:
        accepted = request.headers.get("accept-language", "")
        return Words(language_of(accepted, request.cookies.get(LANGUAGE)))

    def door(request: Request) -> HTMLResponse:
        return HTMLResponse(_door(words_for(request), ""))

    def enter(request: Request, name: str = Form(""), password: str = Form("")) -> Any:
        words = words_for(request)
        if sessions.too_many(request.client.host if request.client else ""):
            return HTMLResponse(_door(words, words("login.wait")), 429)
        secret = sessions.enter(name, password)
        if secret is None:
            return HTMLResponse(_door(words, words("login.wrong")), 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            SESSION,
            secret,
            max_age=int(SESSION_SECONDS),
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer

    def leave(request: Request) -> RedirectResponse:
        sessions.leave(request.cookies.get(SESSION))
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(SESSION)
        return answer

    app.add_api_route("/login", door)
    app.add_api_route("/login", enter, methods=["POST"], response_model=None)
    app.add_api_route("/logout", leave)


def _door(words: Words, said: str) -> str:
    style = Path(__file__).with_name("door.css").read_text(encoding="utf-8")
    refusal = f"<p role=alert>{escape(said)}</p>" if said else ""
    return f"""<!doctype html>
<html lang="{TAGS[words.language]}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tuneglm</title>
<style>{style}</style>
</head>
<body>
<form method="post" action="/login">
<h1>tuneglm</h1>
<p class="what">{words("page.what")}</p>
<p class="how">{words("login.how")}</p>
{refusal}
<label>{words("login.name")}<input name="name" autocomplete="username" required autofocus></label>
<label>{words("login.password")}<input name="password" type="password"
 autocomplete="current-password" required></label>
<button>{words("login.enter")}</button>
</form>
</body>
</html>
"""


def _theme() -> Any:
    """Fonts of the system: nothing is fetched from elsewhere."""
    import gradio as gr

    return gr.themes.Default(
        primary_hue="blue",
        neutral_hue="slate",
        font=["system-ui", "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "sans-serif"],
        font_mono=["ui-monospace", "Cascadia Mono", "Noto Sans Mono CJK SC", "monospace"],
    )


def _language_script(language: str) -> str:
    """The page's language also for the words that are the library's own."""
    tag = TAGS[language]
    return (
        f"<script>Object.defineProperty(navigator,'language',{{get:()=>'{tag}'}});"
        f"Object.defineProperty(navigator,'languages',{{get:()=>['{tag}']}});"
        f"document.documentElement.lang='{tag}';</script>"
    )
