"""What the commands share."""

import gc
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from tuneglm.command_line import importing


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """An entry for each time that what is there is kept for good."""
    times: list[bool] = []
    monkeypatch.setattr(gc, "freeze", lambda: times.append(gc.isenabled()))
    return times


@pytest.fixture(params=[True, False], ids=["on", "off"])
def searches(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether garbage is searched for before; afterwards it is again."""
    was_on = gc.isenabled()
    if not request.param:
        gc.disable()
    yield request.param
    if was_on:
        gc.enable()


def test_while_something_is_imported_no_garbage_is_searched_for(
    frozen: list[bool], searches: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with importing():
        assert not gc.isenabled()
        monkeypatch.setitem(sys.modules, "imported_now", ModuleType("imported_now"))
    assert frozen == [False] and gc.isenabled() == searches


def test_where_nothing_was_imported_nothing_is_kept_for_good(
    frozen: list[bool], searches: bool
) -> None:
    with pytest.raises(ImportError), importing():
        raise ImportError("not there")
    assert frozen == [] and gc.isenabled() == searches
