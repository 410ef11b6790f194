"""Which library multiplies is measured once and kept; what it gives is the same."""

import json
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from torch.nn import functional

from tuneglm.errors import ConfigError
from tuneglm.models import products

onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    products.chosen.cache_clear()
    yield tmp_path / "tuneglm" / "products.json"
    products.chosen.cache_clear()


@pytest.mark.parametrize(("times", "expected"), [(2.2, True), (1.05, False), (0.7, False)])
def test_the_faster_one_is_taken_and_kept(
    times: float, expected: bool, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "_times_as_fast", lambda *_: times)
    assert products.by_onednn() is expected
    assert list(json.loads(cache.read_text("utf-8")).values()) == [expected]
    monkeypatch.setattr(products, "_times_as_fast", lambda *_: 1 / times)
    products.chosen.cache_clear()
    assert products.by_onednn() is expected


@pytest.mark.parametrize("content", ["", "[]", '{"other": true}'])
def test_what_was_kept_of_another_machine_is_measured_again(
    content: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.parent.mkdir()
    cache.write_text(content, encoding="utf-8")
    monkeypatch.setattr(products, "_times_as_fast", lambda *_: 2.0)
    assert products.by_onednn()
    assert ("other" in json.loads(cache.read_text("utf-8"))) is ("other" in content)


def test_a_measurement_takes_a_moment() -> None:
    assert products._times_as_fast(8, [torch.rand(16, 16)]) > 0


def test_a_few_rows_are_measured_for_each_weight_and_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this story oneDNN is faster with a wide weight, and with two or three rows of any."""
    monkeypatch.setattr(products, "by_onednn", lambda: False)
    monkeypatch.setattr(products, "_FEW", {})
    monkeypatch.setattr(products, "LEAST", 256)
    monkeypatch.setattr(
        products,
        "_times_as_fast",
        lambda rows, weights: 2.0 if len(weights[0]) > 50 or rows == 3 else 1.0,
    )
    wide, narrow = torch.rand(64, 8), torch.rand(8, 8)
    few = torch.rand(8, 1, 8)
    assert not products.is_for_onednn(few, wide), "training measures nothing on its way"
    with torch.inference_mode():
        for rows, faster in ((0, []), (1, [wide]), (2, [wide, narrow]), (3, [wide, narrow])):
            for weight in (wide, narrow):
                assert products.is_for_onednn(few[:rows], weight) == any(
                    weight is each for each in faster
                )
        assert products.is_for_onednn(few, wide)
        assert not products.is_for_onednn(few, narrow)
        assert not products.is_for_onednn(few[:3], torch.rand(7, 8)), "too small to ask"
        assert not products.is_for_onednn(torch.rand(64, 1, 8), wide)
    kept = json.loads(cache.read_text("utf-8"))
    assert sorted(kept.values()) == [False, False, True, True, True, True]
    assert all("rows: " in what for what in kept)


def test_a_measurement_draws_no_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_FEW", {})
    before = torch.get_rng_state()
    products.by_onednn()
    products.few_by_onednn(1, torch.ones(512, 128))
    assert torch.equal(torch.get_rng_state(), before)


@onednn
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 8, 15])
def test_a_few_rows_give_the_same(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "few_by_onednn", lambda rows, weight: True)
    multiplied = Mock(wraps=products._multiplied)
    monkeypatch.setattr(products, "_multiplied", multiplied)
    states, weight = torch.randn(rows, 1, 24), torch.randn(70, 24)
    with torch.inference_mode():
        output = products.linear(states, weight)
    multiplied.assert_called_once()
    assert torch.allclose(output, functional.linear(states, weight), atol=1e-5, rtol=1e-5)


@onednn
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [(3, 20), (40,), (1, 1)])
def test_products_and_gradients_are_those_of_torch(
    rows: tuple[int, ...], bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "by_onednn", lambda: True)
    # a single row is many here
    monkeypatch.setattr(products, "MANY_ROWS", 1)
    multiplied = Mock(wraps=products._multiplied)
    monkeypatch.setattr(products, "_multiplied", multiplied)
    torch.manual_seed(0)
    weights = [torch.randn(7, 5), *([torch.randn(7)] if bias else [])]
    states, target = torch.randn(*rows, 5), torch.randn(*rows, 7)
    results = []
    for multiply in (products.linear, functional.linear):
        given = [each.clone().requires_grad_() for each in (states, *weights)]
        output = multiply(*given)
        (output * target).sum().backward()
        results.append([output, *(each.grad for each in given)])
    assert multiplied.call_count == 3, "the output, and the gradients of states and weight"
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, atol=1e-5, rtol=1e-5)


def test_a_library_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_times_as_fast", lambda *_: pytest.fail("it was measured"))
    for name, chosen in (("onednn", torch.backends.mkldnn.is_available()), ("torch", False)):
        monkeypatch.setenv(products.VARIABLE, name)
        products.chosen.cache_clear()
        assert products.by_onednn() == chosen
        assert products.few_by_onednn(1, torch.ones(1024, 1024)) == chosen
    monkeypatch.setenv(products.VARIABLE, "mkl")
    products.chosen.cache_clear()
    with pytest.raises(ConfigError, match="TUNEGLM_PRODUCTS is `mkl`"):
        products.by_onednn()
    products.chosen.cache_clear()
