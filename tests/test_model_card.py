"""The card beside a result: what it was made of, for people and for hubs."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROWS, Configure
from tuneglm.config import load_config
from tuneglm.data.registry import registered_sets, restricted_by_name
from tuneglm.demo import MODEL_FOLDER
from tuneglm.export import Export, export
from tuneglm.export.card import export_card
from tuneglm.model_card import UsedSet, run_card
from tuneglm.training import train

CONFIG = load_config(
    None, ["model.path=owner/base-6b", "method.rank=4", "training.output_dir=/x/my|model"]
)


def used(name: str, rows: int = 1234) -> UsedSet:
    return UsedSet(name, rows, registered_sets().get(name))


def head_of(card: str) -> dict[str, object]:
    head = yaml.safe_load(card.split("---\n")[1])
    assert isinstance(head, dict)
    return head


def test_a_hub_reads_base_languages_and_data() -> None:
    card = run_card(CONFIG, "x", [used("alpaca_zh"), used("lima"), used("a.json")], adapter=True)
    assert head_of(card) == {
        "base_model": "owner/base-6b",
        "library_name": "peft",
        "tags": ["tuneglm", "x", "lora"],
        "language": ["zh", "en"],
        "datasets": ["llamafactory/alpaca_zh", "llamafactory/lima"],
    }


def test_a_person_reads_rows_licences_and_what_is_restricted() -> None:
    card = run_card(
        CONFIG, "x", [used("belle_1m"), used("coig_cqia"), used("a.json")], adapter=True
    )
    assert "| belle_1m | 1,234 | GPL-3.0 | research-only |" in card
    assert "| coig_cqia | 1,234 | none stated | unstated |" in card
    assert "| a.json | 1,234 |  |  |" in card
    assert "certain uses only: `belle_1m` (research)" in card and "`belle_1m`（研究）" in card
    assert "Method: lora, rank 4." in card and "以 lora 方法微调而成" in card


def test_what_is_not_restricted_is_not_warned_of() -> None:
    card = run_card(CONFIG, "x", [used("codealpaca")], adapter=False)
    assert "certain uses" not in card and "library_name" not in head_of(card)


def test_a_folder_is_named_without_its_place(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    config = load_config(None, [f"model.path={tmp_path / 'base'}", "training.output_dir=o"])
    card = run_card(config, "x", [], adapter=True)
    assert "`base`" in card and str(tmp_path) not in card and "base_model" not in head_of(card)


def test_a_card_of_others_is_not_carried(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\ntags:\n- other\n---\n## Data\n\nx", encoding="utf-8")
    wanted = Export("owner/base", tmp_path / "out")
    assert "## Data" not in export_card(wanted, "x", [tmp_path], None)


@pytest.fixture(scope="module")
def result(configure: Configure, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    rows = folder / "alpaca_data_zh_51k.json"
    rows.write_text(json.dumps(ROWS), encoding="utf-8")
    settings = ["data.train=alpaca_zh", f"data.dir={folder}", "training.max_steps=1"]
    return train(configure(folder / "out", *settings)).folder


def test_a_run_writes_it_and_export_carries_it(result: Path, tmp_path: Path) -> None:
    card = (result / "README.md").read_text(encoding="utf-8")
    assert f"| alpaca_zh | {len(ROWS)} | CC BY-NC 4.0 | non-commercial |" in card
    assert f"tuneglm chat {result.name}" in card and f"`{MODEL_FOLDER.name}`" in card
    assert not re.search(r"\b20\d\d-", card)
    whole = export(Export(str(result), tmp_path / "whole")).folder
    again = export(Export(str(whole), tmp_path / "again")).folder
    for folder in (whole, again):
        text = (folder / "README.md").read_text(encoding="utf-8")
        assert text.count("## Tuning") == text.count("## Data") == text.count("## Use") == 1
        assert "| alpaca_zh |" in text and f"tuneglm chat {folder.name}" in text


def test_a_restricted_set_is_known_by_the_name_of_its_file() -> None:
    lima = registered_sets()["lima"]
    by_path = restricted_by_name(Path("somewhere") / lima.files[0])
    assert by_path is not None
    assert (by_path.name, by_path.restriction) == ("lima", "non-commercial")
    assert restricted_by_name(Path("my.json")) is None
