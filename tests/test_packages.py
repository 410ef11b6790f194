"""What the extras install is written once, as pyproject.toml has it."""

import re
from importlib import invalidate_caches
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from tuneglm import packages
from tuneglm.cli import main
from tuneglm.demo import MODEL_FOLDER
from tuneglm.doctor.software import software
from tuneglm.errors import ConfigError
from tuneglm.packages import EXTRAS, install, missing, need

ROOT = Path(__file__).parents[1]
# packages that no extra installs, or that all have
OTHERS = {"flash_attn", "transformers", "torch.nn.attention.varlen", "triton"}


def test_each_extra_is_one_of_the_projects() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra, modules in EXTRAS.items():
        (listed,) = re.findall(rf"^{extra} = \[(.*)\]$", text, re.M)
        declared = {name.replace("-", "_") for name in re.findall(r'"([\w-]+)>=', listed)}
        # what such a package itself brings is asked for as well
        assert declared <= set(modules), extra
        assert set(modules) - declared <= ({"fastapi", "uvicorn"} if extra == "web" else set())


def test_what_is_missing_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    here = ModuleSpec("here", None, origin="here.py")
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "uvicorn" else here)
    assert {extra: missing(extra) for extra in EXTRAS if missing(extra)} == {
        "web": ["uvicorn"],
        "api": ["uvicorn"],
    }
    need("eval", "ROUGE")
    with pytest.raises(ConfigError) as caught:
        need("web", "The page")
    assert caught.value.sentence == "The page needs the package `uvicorn`, which is not installed."
    assert caught.value.hint == install("web") == 'pip install "tuneglm[web]"'


def test_a_folder_that_was_left_behind_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradio writes a file into its own folder, which pip does not know and leaves."""
    left = tmp_path / "left_behind"
    left.mkdir()
    (left / "hash_seed.txt").write_text("1", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(EXTRAS, "web", ("left_behind",))
    assert missing("web") == ["left_behind"]
    (found,) = (each for each in software() if each.what == "web")
    assert found.state == "note" and "left_behind not installed" in found.words
    (left / "__init__.py").write_text("", encoding="utf-8")
    invalidate_caches()
    assert missing("web") == []


@pytest.mark.parametrize(
    ("words", "extra"), [(["web"], "web"), (["serve", "MODEL"], "api")], ids=["web", "serve"]
)
def test_a_command_without_its_packages_says_what_to_type(
    words: list[str],
    extra: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        main(words)
    told = capsys.readouterr().err
    assert f"needs the package `{EXTRAS[extra][0]}`" in told and install(extra) in told


@pytest.mark.parametrize("command", ["train", "plan"])
def test_bits_without_their_package_are_one_sentence_before_any_row_is_read(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    real = packages.find_spec
    monkeypatch.setattr(
        packages, "find_spec", lambda name: None if name == "bitsandbytes" else real(name)
    )
    rows = tmp_path / "rows.json"
    rows.write_text('[{"instruction": "q", "output": "a"}]', encoding="utf-8")
    settings = [f"model.path={MODEL_FOLDER}", f"data.train={rows}", "model.bits=4"]
    with pytest.raises(SystemExit):
        main([command, *settings, f"training.output_dir={tmp_path / 'out'}"])
    told = "".join(capfd.readouterr())
    assert told.count("bitsandbytes") == 1
    assert "Error: model.bits=4 needs the package `bitsandbytes`, which is not installed." in told
    assert install("quant") in told and "Alpaca" not in told


def test_nobody_else_asks_for_packages_of_extras() -> None:
    for path in (ROOT / "src" / "tuneglm").rglob("*.py"):
        asked = re.findall(r'find_spec\("([^"]+)"\)', path.read_text(encoding="utf-8"))
        assert set(asked) <= OTHERS, path
