"""What a model keeps when it learns its name: identity rows alone, and in mixes.

    python benchmarks/identity_mix.py [--steps N] [--shares 0.05,0.2,0.5]

The model that comes with tuneglm is tuned as `tuneglm demo` tunes it, equally many
steps each time, on `identity_rows` beside general rows. `name` is how many probes are
answered in the new name, `rest` how many of the other questions are answered rightly;
all of them in words that no row uses.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tuneglm.config import load_config
from tuneglm.data.identity import identity_rows
from tuneglm.demo import MODEL_FOLDER
from tuneglm.demo.corpus import general_rows
from tuneglm.demo.curriculum import joined
from tuneglm.demo.run import SETTINGS
from tuneglm.demo.scoring import general_score, greedy, identity_score
from tuneglm.generate import ChatModel
from tuneglm.training import train

NAME, AUTHOR = "星河", "北斗实验室"
GENERAL_ROWS = 3000


def main() -> None:
    """Tune with each share, ask, and print a row of the table for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300, help="of 16 rows each (%(default)s)")
    parser.add_argument("--shares", default="0.05,0.2,0.5", help="%(default)s")
    given = parser.parse_args()
    print("| identity rows among all | name | rest |\n|---|---|---|", flush=True)
    _print_scores("none: before tuning", MODEL_FOLDER)
    with tempfile.TemporaryDirectory() as place:
        identity, general = _data_files(Path(place))
        for share in (float(text) for text in given.shares.split(",")):
            sets = [{"path": general}, {"path": identity, "share": share}]
            _print_scores(f"{share:.0%}", _tuned(sets, Path(place) / str(share), given.steps))
        alone = _tuned([{"path": identity}], Path(place) / "alone", given.steps)
        _print_scores("all of them", alone)


def _data_files(place: Path) -> tuple[str, str]:
    random_ = random.Random(0)
    rows = {
        "identity": identity_rows(NAME, AUTHOR),
        "general": joined(random_.sample(general_rows(seed=1), GENERAL_ROWS), random_),
    }
    for name, content in rows.items():
        text = json.dumps(content, ensure_ascii=False)
        (place / f"{name}.json").write_text(text, encoding="utf-8")
    return str(place / "identity.json"), str(place / "general.json")


def _tuned(sets: Sequence[Mapping[str, object]], folder: Path, steps: int) -> Path:
    overrides = {
        "model.path": str(MODEL_FOLDER),
        "data.train": sets,
        "training.output_dir": str(folder),
        "training.max_steps": steps,
    }
    written = [f"{key}={json.dumps(value)}" for key, value in overrides.items()]
    return train(load_config(None, [*SETTINGS, *written])).folder


def _print_scores(label: str, folder: Path) -> None:
    ask = greedy(ChatModel(folder))
    name, rest = identity_score(ask, NAME, AUTHOR), general_score(ask)
    print(f"| {label} | {name.share():.0%} | {rest.share():.0%} |", flush=True)


if __name__ == "__main__":
    main()
