"""Fetching from a hub: models and data sets, Hugging Face or ModelScope, once.

Mirrors are set by the hubs' own variables (`HF_ENDPOINT`, `MODELSCOPE_DOMAIN`),
caches too (`HF_HOME`, `MODELSCOPE_CACHE`). Python files are never fetched: code
that comes with weights is never executed.
"""

import getpass
import math
import os
import re
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from tuneglm.errors import HubError, ModelError
from tuneglm.lock import locked

Hub = Literal["huggingface", "modelscope"]
Kind = Literal["model", "dataset"]

SECONDS_TO_ANSWER = 4.0
_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def looks_like_id(text: str) -> bool:
    """Whether `text` has the form `owner/name`."""
    return _ID.fullmatch(text) is not None


def near_folder(path: str | Path) -> Path | None:
    """The folder beside a path whose name is much the same, for one that was mistyped."""
    folder = Path(path).expanduser()
    beside = folder.parent.iterdir() if folder.parent.is_dir() else ()
    near = get_close_matches(folder.name, [each.name for each in beside if each.is_dir()], n=1)
    return folder.with_name(near[0]) if near else None


def no_folder(path: str | Path) -> ModelError:
    """What is said of a path that is not here, with the folder that may be meant."""
    near = near_folder(path)
    hint = "give a folder, or an id of the hub (OWNER/NAME)"
    return ModelError(f"There is no folder `{path}`.", f"did you mean `{near}`?" if near else hint)


def page_of(repo_id: str, hub: Hub, kind: Kind = "model") -> str:
    """Address of the page from which a person can fetch the files."""
    folder = {
        "model": {"huggingface": "", "modelscope": "models/"},
        "dataset": {"huggingface": "datasets/", "modelscope": "datasets/"},
    }[kind][hub]
    return f"{_endpoint(hub)}/{folder}{repo_id}"


def reached(hub: Hub) -> tuple[str, bool]:
    """The address of a hub, and whether a connection to it can be opened."""
    return _endpoint(hub), _answers(hub)


def fetch(
    repo_id: str,
    hub: Hub,
    patterns: Sequence[str],
    *,
    kind: Kind = "model",
    revision: str | None = None,
    folder: Path | None = None,
    never: Sequence[str] = (),
) -> Path:
    """The local folder with the files of `repo_id` that match `patterns`, and none of `never`.

    They go into the hub's cache, or into `folder`; what lies in the cache is
    used without a network, and what was begun goes on where it stopped. Raises
    HubError within seconds when the hub cannot be reached: its own client
    retries for half a minute, so the connection is tried first. Of several
    processes on one machine one fetches; the others wait, and find it there.
    """
    with _one_at_a_time(f"{hub} {kind} {repo_id}"):
        offline = not _answers(hub)
        download = _modelscope_download if hub == "modelscope" else _huggingface_download
        try:
            if offline and folder is not None:
                # the clients would return the folder as it is
                raise OSError
            return Path(
                download()(
                    repo_id,
                    repo_type=kind,
                    revision=revision,
                    allow_patterns=list(patterns),
                    ignore_patterns=list(never) or None,
                    local_files_only=offline,
                    local_dir=None if folder is None else str(folder),
                )
            )
        except (OSError, ValueError, _client_error(hub)) as error:
            reason = "does not answer" if offline else f"refused: {str(error).splitlines()[0]}"
            raise HubError(
                f"`{repo_id}` is not on this disk, and {_endpoint(hub)} {reason}.",
                f"fetch the files by hand from {page_of(repo_id, hub, kind)}, put them into one "
                "folder and give that folder's path; a mirror is set by "
                + {"huggingface": "HF_ENDPOINT", "modelscope": "MODELSCOPE_DOMAIN"}[hub],
            ) from None


@contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    """As long as it takes: what a hub sends may take hours."""
    digest = blake2b(name.encode(), digest_size=8).hexdigest()
    place = Path(tempfile.gettempdir()) / f"tuneglm-fetch-{getpass.getuser()}" / digest
    place.mkdir(parents=True, exist_ok=True)
    with locked(place, math.inf):
        yield


def _endpoint(hub: Hub) -> str:
    if hub == "modelscope":
        return "https://" + os.environ.get("MODELSCOPE_DOMAIN", "modelscope.cn")
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _answers(hub: Hub) -> bool:
    """Whether a connection to the hub can be opened; behind a proxy only the client can tell."""
    proxies = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    if any(os.environ.get(name) for name in proxies):
        return True
    address = urlsplit(_endpoint(hub))
    port = address.port or {"http": 80}.get(address.scheme, 443)
    try:
        with socket.create_connection((address.hostname or "", port), SECONDS_TO_ANSWER):
            return True
    except OSError:
        return False


def _client_error(hub: Hub) -> type[Exception]:
    """The base class of what the hub's client raises beside OSError."""
    if hub == "modelscope":
        from modelscope_hub.errors import HubError as ModelscopeError

        return ModelscopeError
    from huggingface_hub.errors import HfHubHTTPError

    return HfHubHTTPError


def _huggingface_download() -> Callable[..., str]:
    from huggingface_hub import snapshot_download

    return snapshot_download


def _modelscope_download() -> Callable[..., str]:
    from modelscope import snapshot_download

    return snapshot_download


def check_upload(repo_id: str, hub: Hub) -> None:
    """Raises HubError where nothing could be put on the hub: before hours of work, not after."""
    if not looks_like_id(repo_id):
        raise HubError(f"`{repo_id}` is no name on a hub.", "write it as OWNER/NAME")
    if not _answers(hub):
        raise HubError(f"{_endpoint(hub)} does not answer.", "export without --upload for now")
    try:
        _uploader(hub).whoami()
    except (OSError, ValueError, _client_error(hub)) as error:
        raise HubError(
            f"{_endpoint(hub)} does not know who you are: {_first_line(error)}",
            {"huggingface": "log in: hf auth login", "modelscope": "log in: modelscope login"}[hub],
        ) from None


def upload(folder: Path, repo_id: str, hub: Hub, *, private: bool) -> str:
    """Put a folder on a hub, into a repository that is made where it is not there; its page.

    Raises HubError where the hub refuses it; what is on the disk stays.
    """
    client = _uploader(hub)
    seen: dict[str, object] = (
        {"visibility": "private" if private else "public"}
        if hub == "modelscope"
        else {"private": private}
    )
    try:
        client.create_repo(repo_id, repo_type="model", exist_ok=True, **seen)
        client.upload_folder(repo_id=repo_id, folder_path=str(folder), repo_type="model")
    except (OSError, ValueError, _client_error(hub)) as error:
        command = {"huggingface": "hf", "modelscope": "modelscope"}[hub]
        raise HubError(
            f"{_endpoint(hub)} refused `{repo_id}`: {_first_line(error)}",
            f"the result is in `{folder}`; send it later: {command} upload {repo_id} {folder}",
        ) from None
    return page_of(repo_id, hub)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _uploader(hub: Hub) -> Any:
    """The hub's own client."""
    if hub == "modelscope":
        from modelscope_hub.api import HubApi

        return HubApi()
    from huggingface_hub import HfApi

    return HfApi()
