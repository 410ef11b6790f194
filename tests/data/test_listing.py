"""`data list` and `data download`: what is told, and in terminals of any width."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tuneglm.data.listing import download_sets, list_sets
from tuneglm.data.registry import registered_sets
from tuneglm.data_config import DataConfig
from tuneglm.errors import DataError


def listed(tmp_path: Path, width: int) -> str:
    console = Console(file=StringIO(), width=width)
    list_sets(DataConfig(dir=str(tmp_path)), as_json=False, console=console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("width", [38, 56, 80, 120])
def test_the_table_fits_any_terminal(tmp_path: Path, width: int) -> None:
    lines = listed(tmp_path, width).splitlines()
    assert all(len(line) <= width for line in lines)
    for name in registered_sets():
        assert any(line.split()[:1] == [name] for line in lines), name


def test_a_usual_terminal_shows_licences_and_uses(tmp_path: Path) -> None:
    (tmp_path / "alpaca_data_zh_51k.json").touch()
    rows = {line.split()[0]: line for line in listed(tmp_path, 80).splitlines() if line}
    assert "yes" in rows["alpaca_zh"] and "yes" not in rows["alpaca_en"]
    assert "CC BY-NC 4.0" in rows["alpaca_zh"] and "non-commercial" in rows["alpaca_zh"]
    assert "research-only" in rows["belle_2m"] and "2,000,000" in rows["belle_2m"]


def test_json_is_an_object_a_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "identity.json").touch()
    list_sets(DataConfig(dir=str(tmp_path)), as_json=True)
    records = {one["name"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert list(records) == list(registered_sets())
    assert records["identity"]["path"] == str(tmp_path / "identity.json")
    assert records["firefly"]["path"] is None and records["firefly"]["rows"] == 1649399


def test_sets_are_fetched_and_the_second_call_says_they_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, str]] = []

    def client(hub: str) -> Any:
        def snapshot_download(repo_id: str, **options: Any) -> str:
            asked.append((hub, repo_id))
            for name in options["allow_patterns"]:
                (Path(options["local_dir"]) / name).touch()
            return str(options["local_dir"])

        return snapshot_download

    monkeypatch.setattr("tuneglm.hub._answers", lambda hub: True)
    monkeypatch.setattr("huggingface_hub.snapshot_download", client("huggingface"))
    monkeypatch.setattr("modelscope.snapshot_download", client("modelscope"))
    config = DataConfig(dir=str(tmp_path))
    download_sets(["alpaca_zh", "codealpaca"], config)
    assert f"alpaca_zh: {tmp_path / 'alpaca_data_zh_51k.json'}" in capsys.readouterr().out
    download_sets(["alpaca_zh"], config, "modelscope")
    assert "is here already" in capsys.readouterr().out
    download_sets(["belle_1m"], config, "modelscope")
    assert "research only" in capsys.readouterr().out
    assert asked == [
        ("huggingface", "llamafactory/alpaca_zh"),
        ("huggingface", "sahil2801/CodeAlpaca-20k"),
        ("modelscope", "AI-ModelScope/train_1M_CN"),
    ]


def test_nothing_is_fetched_where_one_name_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuneglm.data.listing.downloaded", lambda *_: pytest.fail("fetched"))
    with pytest.raises(DataError, match="did you mean `guanaco`"):
        download_sets(["alpaca_zh", "guanacco"], DataConfig(dir=str(tmp_path)))


def test_a_hub_that_does_not_have_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="`codealpaca` is not on modelscope") as error:
        download_sets(["codealpaca"], DataConfig(dir=str(tmp_path)), "modelscope")
    hint = str(error.value.hint)
    assert hint.startswith("leave --hub out, for it is on huggingface") and "HF_ENDPOINT" in hint
    assert f"put the file at `{tmp_path / 'code_alpaca_20k.json'}`" in hint
