"""The diffs of docs/en/extending.md apply to this tree, and what comes of it works."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.snippets import snippets
from tuneglm.demo import MODEL_FOLDER

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "en" / "extending.md"

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git applies the diffs")

FORMAT = """
from tuneglm.data.columns import RowError
from tuneglm.data.formats import FORMATS
from tuneglm.data.recognise import recognise

pairs = [{"question": "Where?", "answer": "Here."}, {"question": "When?", "answer": "Now."}]
row = {"passage": "It is here and now.", "questions": pairs}
name = recognise([row]).format
reading = FORMATS[name]
assert name == "reading", name
example = reading.convert(row, reading.columns_with({}))
said = [(message.role, message.content) for message in example.messages]
assert said == [
    ("user", "It is here and now.\\nWhere?"), ("assistant", "Here."),
    ("user", "When?"), ("assistant", "Now."),
], said
for bad in ([], "soon", [{"question": "Where?"}], [{"question": " ", "answer": "a"}], [7]):
    try:
        reading.convert({"passage": "p", "questions": bad}, reading.columns_with({}))
    except RowError:
        continue
    raise AssertionError(bad)
"""
METHOD = """
import json, sys
from pathlib import Path
import torch
import tuneglm
from tuneglm.models.weights import read_tensors

model, rows, output = sys.argv[1:]
settings = [
    f"model.path={model}", "model.dtype=float32", f"data.train={rows}", "method=norms",
    f"training.output_dir={output}", "training.max_steps=3", "training.logging_steps=1",
    "training.learning_rate=0.05", "memory_check=off",
]
result = tuneglm.train(tuneglm.load_config(None, settings))
losses = [json.loads(line).get("loss") for line in (result.folder / "log.jsonl").open()]
losses = [loss for loss in losses if loss is not None]
assert len(losses) == 3 and losses[-1] < losses[0], losses
names = [name for name, _ in read_tensors(result.folder / "adapter_model.safetensors")]
assert names and all("norm" in name for name in names), names
ids = torch.arange(300, 320)[None]
base, tuned = (
    tuneglm.load_model(path, dtype="float32", device="cpu")(ids).logits
    for path in (model, result.folder)
)
assert not torch.allclose(base, tuned, atol=1e-3)
"""
FAMILY = """
import json, shutil, sys
from pathlib import Path
from tuneglm.data.messages import Example, Message
from tuneglm.models import family_of

model, _, folder = map(Path, sys.argv[1:])
folder.mkdir()
config = json.loads((model / "config.json").read_text(encoding="utf-8"))
config["_name_or_path"] = "THUDM/codegeex2-6b"
(folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
shutil.copy(model / "tokenizer.model", folder)
family = family_of(folder)
assert family.name == "codegeex2", family.name
tokenizer = family.load_tokenizer(folder)
asked = Message("user", "# language: Python\\n# one")
(prompt,) = family.render(tokenizer, [Example((asked,))], generation_prompt=True)
(row,) = family.render(tokenizer, [Example((asked, Message("assistant", "print(1)")))])
assert row.ids[: len(prompt)] == prompt.ids and not any(prompt.trained)
assert tokenizer.decode(prompt.ids, skip_special_tokens=True) == "# language: Python\\n# one\\n"
trained = [index for index, is_trained in zip(row.ids, row.trained) if is_trained]
assert row.ids[len(prompt):] == trained and trained[-1] in family.end_tokens(tokenizer)
assert tokenizer.decode(trained, skip_special_tokens=True) == "print(1)"
tokenizer.save_pretrained(folder)
assert family_of(folder).name == "codegeex2"
"""


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, with all diffs of the page applied."""
    copy = tmp_path_factory.mktemp("changed")
    for name in ("src/tuneglm", "tests/matrix"):
        ignored = shutil.ignore_patterns("__pycache__", "model", "model_chatglm")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    diffs = [snippet.text for snippet in snippets(PAGE) if snippet.kind == "diff"]
    assert len(diffs) == 3
    # wherever the folder lies, it is no part of a repository
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(copy.parent)}
    for diff in diffs:
        applied = subprocess.run(
            ["git", "apply", "-"],
            cwd=copy,
            env=environment,
            input=diff,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        assert applied.returncode == 0, applied.stderr
    return copy


@pytest.mark.parametrize("program", [FORMAT, METHOD, FAMILY], ids=["format", "method", "family"])
def test_what_the_page_adds_works(
    program: str, changed: Path, tmp_path: Path, rows_file: Path
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", program, str(MODEL_FOLDER), str(rows_file), str(tmp_path / "made")],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(changed / "src"), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
