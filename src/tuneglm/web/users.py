"""Who may see the page: names and passwords, and sessions of those who gave them."""

import hmac
import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

from tuneglm.errors import ConfigError

VARIABLE = "TUNEGLM_WEB_PASSWORD"
# of whoever gives the password of the environment
OWNER = "owner"
SESSION_SECONDS = 12 * 3600.0
ATTEMPTS, ATTEMPT_SECONDS = 10, 60.0
_NAME = re.compile(r"\w[\w-]{0,39}")


def users_of(file: Path | None) -> dict[str, str]:
    """Name → password, of the file and of the environment; raises ConfigError for a bad line."""
    users = {OWNER: os.environ[VARIABLE]} if os.environ.get(VARIABLE) else {}
    if file is None:
        return users
    try:
        text = file.expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"`{file}` cannot be read: {error.strerror}.") from None
    for number, line in enumerate(text.splitlines(), 1):
        name, colon, password = line.strip().partition(":")
        if not line.strip() or line.startswith("#"):
            continue
        if not colon or not password or _NAME.fullmatch(name) is None:
            raise ConfigError(
                f"Line {number} of `{file}` is not NAME:PASSWORD.",
                "a name has letters, digits, `-` and `_`",
            )
        users[name] = password
    if not users:
        raise ConfigError(f"`{file}` names nobody.", "write NAME:PASSWORD, one a line")
    return users


def refuse_open_door(host: str, users: Mapping[str, str]) -> None:
    """Raise ConfigError for a page that others can reach and that asks for no password."""
    if not users and not is_local(host):
        raise ConfigError(
            f"`--host {host}` opens the page to others, and there is no password.",
            f"name a file of NAME:PASSWORD lines (--user-file), or set {VARIABLE}",
        )


def is_local(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass
class Sessions:
    """Who is signed in; a password is compared in a time that says nothing of it."""

    users: Mapping[str, str]
    _open: dict[str, tuple[str, float]] = field(default_factory=dict)
    _attempts: dict[str, list[float]] = field(default_factory=dict)

    def enter(self, name: str, password: str) -> str | None:
        """A new session's secret; None where name and password do not belong together."""
        # an unknown name takes as long as a known one
        known = self.users.get(name, secrets.token_hex())
        if not hmac.compare_digest(_digest(password), _digest(known)) or name not in self.users:
            return None
        now = time.monotonic()
        self._open = {key: one for key, one in self._open.items() if one[1] > now}
        secret = secrets.token_urlsafe(32)
        self._open[secret] = name, now + SESSION_SECONDS
        return secret

    def user(self, secret: str | None) -> str | None:
        """Whose session it is."""
        name, until = self._open.get(secret or "", ("", 0.0))
        return name if until > time.monotonic() else None

    def leave(self, secret: str | None) -> None:
        """End a session."""
        self._open.pop(secret or "", None)

    def too_many(self, address: str) -> bool:
        """Whether so many attempts came from there within a minute; this one is counted."""
        now = time.monotonic()
        recent = {
            key: kept
            for key, times in self._attempts.items()
            if (kept := [each for each in times if now - each < ATTEMPT_SECONDS])
        }
        recent.setdefault(address, []).append(now)
        self._attempts = recent
        return len(recent[address]) > ATTEMPTS


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8")).digest()
