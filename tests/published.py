"""The published tokenizer files, data and golden lines, which lie outside this repository.

They are others' work, so they are not copied here: tests read them from a folder
`shared` beside the clone, or from where TUNEGLM_SHARED points.
"""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("TUNEGLM_SHARED", Path(__file__).parents[2] / "shared"))
FOLDERS = {
    "chatglm": "chatglm-6b",
    "chatglm2": "chatglm2-6b",
    "chatglm3": "chatglm3-6b",
    "glm4": "glm-4-9b-chat",
}
VERSIONS = {"chatglm": "v1", "chatglm2": "v2", "chatglm3": "v3", "glm4": "glm4"}


def tokenizer_folder(family: str) -> Path:
    """The folder with a family's published tokenizer; skips the test where it is missing."""
    return _present(SHARED / "tokenizers" / FOLDERS[family])


def golden_lines(name: str, family: str) -> Path:
    """`tokenizer` or `chat` lines of the published class; skips the test where they are missing."""
    return _present(SHARED / "golden" / "tokenizers" / f"{name}_{VERSIONS[family]}.jsonl")


def data_file(name: str) -> Path:
    """A real data set; skips the test where it is missing."""
    return _present(SHARED / "data" / name)


def _present(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"needs {path}, which is not part of the project")
    return path
