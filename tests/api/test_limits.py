"""Who is let in, how often, and what is read of what they send."""

import json
from pathlib import Path

import pytest

from tuneglm.api import limits
from tuneglm.api.limits import Keys, Rates, keys_of, read_object
from tuneglm.api.refusals import Refusal
from tuneglm.errors import ConfigError
from tuneglm.serve_config import ServeConfig

JSON = "application/json; charset=utf-8"


def test_keys_come_from_a_file_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TUNEGLM_API_KEY", raising=False)
    assert keys_of(ServeConfig()) == []
    with pytest.raises(ConfigError, match="no key is set"):
        keys_of(ServeConfig(host="0.0.0.0"))
    file = tmp_path / "keys"
    file.write_text("# of the team\none\n\n two \n")
    assert keys_of(ServeConfig(host="0.0.0.0", key_file=str(file))) == ["one", "two"]
    monkeypatch.setenv("TUNEGLM_API_KEY", "three")
    assert keys_of(ServeConfig(key_file=str(file))) == ["three", "one", "two"]


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ("Bearer one", True),
        ("bearer  two", True),
        ("Bearer onE", False),
        ("Bearer on", False),
        ("Bearer ", False),
        ("Basic one", False),
        ("one", False),
        ("", False),
        ("Bearer \udcff", False),
    ],
)
def test_a_key_is_right_or_wrong(given: str, right: bool) -> None:
    keys = Keys(["one", "two"])
    if right:
        keys.refuse_wrong(given)
        return
    with pytest.raises(Refusal) as refused:
        keys.refuse_wrong(given)
    assert refused.value.status == 401 and refused.value.body["error"]["code"] == "invalid_api_key"


def test_rates_fill_again_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each caller has its own; tokens are counted when they are known."""
    now = [100.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    rates = Rates(2, 60)
    rates.begin("a")
    rates.begin("a")
    with pytest.raises(Refusal) as refused:
        rates.begin("a")
    assert refused.value.headers == {"Retry-After": "30"}
    rates.begin("b")
    now[0] += 31
    rates.begin("a")
    rates.spend("b", 80)
    with pytest.raises(Refusal, match="60 tokens per minute") as spent:
        rates.begin("b")
    assert spent.value.headers == {"Retry-After": "20"}
    now[0] += 21
    rates.begin("b")


def test_few_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_CALLERS", 3)
    rates = Rates(1, None)
    for caller in "abcdabcd":
        rates.begin(caller)
    assert len(rates._uses) == 3


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", "text/plain"),
        (b"{}", ""),
        (b"", JSON),
        (b"[]", JSON),
        (b"null", JSON),
        (b'{"a": NaN}', JSON),
        (b'{"a": "\\ud800"}', JSON),
        (b"\xff{}", JSON),
        (b"[" * 100_000, JSON),
        (b'{"a": ' + b"9" * 5000 + b"}", JSON),
    ],
)
def test_what_is_no_object_of_json(body: bytes, kind: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_object(body, kind)
    assert refused.value.status == 400
    json.dumps(refused.value.body)


def test_what_is_one() -> None:
    assert read_object('{"a": "星\\ud83d\\ude42"}'.encode(), JSON) == {"a": "星🙂"}
