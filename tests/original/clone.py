"""A clone as its user has it: the scripts of `src/`, `config.py` edited, rows in `data/`."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import ROWS
from tuneglm.demo import MODEL_FOLDER

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "src"
EDITED = {
    'CHATGLM_REPO_NAME = "THUDM/chatglm-6b"': f"CHATGLM_REPO_NAME = {str(MODEL_FOLDER)!r}",
    "[str, Any]] = {}": '[str, Any]] = {"instruct_ch": {"filename": "a.json"}}',
}


def make_clone(folder: Path) -> Path:
    """Write it; the folder of its scripts."""
    scripts = folder / "src"
    scripts.mkdir(parents=True)
    for path in SCRIPTS.glob("*.py"):
        shutil.copyfile(path, scripts / path.name)
    shutil.copytree(SCRIPTS / "utils", scripts / "utils")
    config = scripts / "config.py"
    text = config.read_text(encoding="utf-8")
    for before, after in EDITED.items():
        assert before in text
        text = text.replace(before, after)
    config.write_text(text, encoding="utf-8")
    (folder / "data").mkdir()
    rows = json.dumps(ROWS, ensure_ascii=False)
    (folder / "data" / "a.json").write_text(rows, encoding="utf-8")
    return scripts


def environment(home: Path) -> dict[str, str]:
    """Without a GPU and a network; `python` and `accelerate` are this one's."""
    programs = str(Path(sys.executable).parent)
    return os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(SCRIPTS),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(home),
        "XDG_CACHE_HOME": str(home),
    }


def called(
    command: Sequence[str], folder: Path, home: Path, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """A command in a folder, to its end."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(home),
        input=typed,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=200,
        check=False,
    )
