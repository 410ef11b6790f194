"""The small chat models that come with tuneglm: their text, their making, the main job on them."""

import json
from pathlib import Path

from tuneglm.errors import ConfigError

# the one that the demonstration takes where no family is named
MODEL_FOLDER = Path(__file__).parent / "model"
NAME = "tuneglm/demo-"


def model_folders() -> dict[str, Path]:
    """Family → the folder of the demo model in its layout."""
    folders = {}
    for file in sorted(MODEL_FOLDER.parent.glob("model*/tokenizer_config.json")):
        name = json.loads(file.read_text(encoding="utf-8"))["name_or_path"]
        folders[name.removeprefix(NAME)] = file.parent
    return folders


def model_folder(family: str | None) -> Path:
    """The demo model of a family; raises ConfigError where there is none."""
    folders = model_folders()
    if family is not None and family not in folders:
        raise ConfigError(
            f"There is no demo model of the family `{family}`.", f"known: {', '.join(folders)}"
        )
    return MODEL_FOLDER if family is None else folders[family]
