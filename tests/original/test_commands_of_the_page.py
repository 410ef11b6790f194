"""The commands that docs/{en,zh}/original.md shows are understood, in both languages alike."""

import re
import shlex
from pathlib import Path

import pytest

from tests.original.clone import ROOT
from tests.snippets import commands
from tuneglm.config import load_config
from tuneglm.original.command import overrides
from tuneglm.original.house import House
from tuneglm.original.importing import imported, run_file_of
from tuneglm.original.reading import read_arguments
from tuneglm.original.translation import job_of, translated

PAGES = {language: ROOT / "docs" / language / "original.md" for language in ("en", "zh")}
HOUSE = House("model")


def test_both_pages_show_the_same() -> None:
    blocks = [re.findall(r"```.*?```", page.read_text("utf-8"), re.S) for page in PAGES.values()]
    assert blocks[0] == blocks[1] != []


@pytest.mark.parametrize("command", commands(PAGES["en"]))
def test_a_command_is_understood(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [word for word in shlex.split(command) if word not in ("accelerate", "launch", ">")]
    if words[:2] == ["tuneglm", "import-config"]:
        if words[2] == "llama_factory.yaml":
            file = tmp_path / words[2]
            file.write_text("model_name_or_path: m\ndataset: a\n", encoding="utf-8")
            words = [*words[:2], str(file)]
        monkeypatch.chdir(ROOT)
        assert run_file_of(imported(words[2:])).startswith("# tuneglm train run.yaml")
        return
    monkeypatch.chdir(tmp_path)
    script, *given = [word for word in words if word != "python"]
    assert (ROOT / script).is_file()
    read = read_arguments(given)
    job = job_of(read) if script == "src/finetune.py" else "predict"
    found = translated(read, HOUSE, job=job, has_gpu=False)
    assert load_config(None, overrides(found.settings)).model.path == "model"
