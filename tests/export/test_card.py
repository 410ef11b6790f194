"""The card of an export: what it says of its source, of its settings, of what was measured."""

import json
from pathlib import Path
from typing import Any

import pytest

from tuneglm.export import Export
from tuneglm.export.card import REPORT, export_card
from tuneglm.export.check import Checked

FIGURE = {"value": 0.51234, "low": 0.4, "high": 0.6}


def card_with(report: Any, folder: Path, **asked: Any) -> str:
    place = folder / REPORT
    place.parent.mkdir(exist_ok=True)
    place.write_text(report if isinstance(report, str) else json.dumps(report), encoding="utf-8")
    checked = Checked(0.0125, 40, 6, 6)
    return export_card(Export(str(folder), folder / "out", **asked), "x", [folder], checked)


def test_scores_and_settings_are_on_it(tmp_path: Path) -> None:
    section = {
        "title": "rows.json",
        "findings": [
            {"measure": "BLEU-4", "of": 12, "figures": {"tuned": FIGURE, "base": {"value": 0.25}}},
            {"measure": "loss", "figures": {"tuned": 1.5}},
        ],
    }
    card = card_with({"sections": [section]}, tmp_path, dtype="bfloat16", bits=4)
    assert "| measure | of | tuned | base |" in card
    assert "| BLEU-4 | 12 | 0.5123 [0.4, 0.6] | 0.25 |" in card
    assert "| loss |  | 1.5 | – |" in card
    assert "type bfloat16; bits 4" in card
    assert "logits differ by 0.013 at most" in card


@pytest.mark.parametrize(
    "report",
    [
        *("{", "[]", '"text"', "{}", '{"sections": 3}', '{"sections": [3, {}]}'),
        '{"sections": [{"findings": [{"figures": {"a": {"value": null}}}, 7]}]}',
    ],
)
def test_a_report_of_another_form_is_left_out(report: str, tmp_path: Path) -> None:
    assert "## Scores" not in card_with(report, tmp_path)
