"""What the formats make of rows that are no plain exchange, each family can show its model."""

from typing import Any

import pytest

from tests.published import FOLDERS, tokenizer_folder
from tuneglm.data.formats import FORMATS
from tuneglm.data.messages import Rendered
from tuneglm.demo import model_folders
from tuneglm.models import family_named
from tuneglm.models.loading import load_tokenizer


@pytest.fixture(scope="module", params=[*FOLDERS, *(f"demo {name}" for name in model_folders())])
def family(request: pytest.FixtureRequest) -> tuple[str, Any]:
    """A name, and its tokenizer: the published one, or the demo's."""
    _, is_demo, name = request.param.rpartition("demo ")
    folder = model_folders()[name] if is_demo else tokenizer_folder(name)
    return name, load_tokenizer(folder, family=name)


def rendered(family: tuple[str, Any], format_name: str, row: dict[str, str]) -> Rendered:
    each = FORMATS[format_name]
    example = each.convert(row, each.columns_with({}))
    name, tokenizer = family
    (result,) = family_named(name).render(tokenizer, [example])
    return result


def trained_text(family: tuple[str, Any], result: Rendered) -> str:
    ids = [
        token
        for token, trained, special in zip(result.ids, result.trained, result.special)
        if trained and not special
    ]
    return str(family[1].decode(ids)).strip()


def test_plain_text_is_trained_whole_and_ends(family: tuple[str, Any]) -> None:
    result = rendered(family, "text", {"text": "春天来了"})
    assert trained_text(family, result) == "春天来了"
    assert result.trained[-1] and result.special[-1]


def test_a_greeting_that_nobody_asked_for_is_seen_and_not_trained(
    family: tuple[str, Any],
) -> None:
    row = {"instruction": "Assistant:早安\nHuman:你好\nAssistant:", "output": "再见"}
    result = rendered(family, "belle_multiturn", row)
    assert trained_text(family, result) == "再见"
    assert "早安" in family[1].decode(result.ids)
