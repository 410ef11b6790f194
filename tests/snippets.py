"""Fenced blocks of a page, and what running each kind of them means.

A page is read from top to bottom in one folder, as a reader would. A word behind the
kind is the name of the file that the block is (```json my.json), or of a shell block
the code with which its last command ends. A block without a kind is what the commands
before it print; `…` stands for anything there. A block that is not run says why, in a
comment above it that a reader does not see: <!-- not run: REASON -->.
"""

import contextlib
import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.page_commands import filled, run_line, shell_lines
from tuneglm.config import RunConfig, load_config
from tuneglm.data.batches import batches
from tuneglm.data.examples import load_examples
from tuneglm.data.own_registry import read_registry
from tuneglm.data.pipeline import EncodedData, encode_data
from tuneglm.data.registry import registered_sets, set_of
from tuneglm.demo import MODEL_FOLDER
from tuneglm.models.encoder import load_encoder
from tuneglm.reports.data import print_data
from tuneglm.reports.run import TrainingResult
from tuneglm.reports.terminal import console
from tuneglm.stages.arguments import training_arguments

_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$",
    re.M | re.S,
)


@dataclass(frozen=True)
class Snippet:
    """A fenced block: `kind` is its first word, `word` the second, `reason` why it is not run."""

    kind: str
    word: str
    text: str
    reason: str = ""


def snippets(page: Path) -> Iterator[Snippet]:
    """The blocks of a page, in order."""
    for found in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        kind, _, word = found["info"].strip().partition(" ")
        yield Snippet(kind, word, found["text"], found["reason"] or "")


def commands(page: Path) -> list[str]:
    """Its shell commands, without comments."""
    blocks = [each.text for each in snippets(page) if each.kind == "bash"]
    return [" ".join(words) for words in shell_lines("".join(blocks))]


def run_page(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Run every snippet of a page in the current folder, but those that say why they are not."""
    printed = ""
    for snippet in snippets(page):
        if snippet.reason:
            printed = ""
        elif snippet.kind == "bash":
            printed = _shell(snippet, capsys)
        elif snippet.kind == "":
            _check_output(snippet.text, printed)
        else:
            RUN[snippet.kind](snippet)


def _shell(snippet: Snippet, capsys: pytest.CaptureFixture[str]) -> str:
    """What its last command prints; that one ends with the code that the block names."""
    lines = shell_lines(snippet.text)
    for number, words in enumerate(lines, 1):
        expected = int(snippet.word or 0) if number == len(lines) else 0
        printed = run_line(words, expected, capsys)
    return printed


def _check_output(text: str, printed: str) -> None:
    """Each line was printed, however long the terminal's lines are."""
    found = "".join(printed.split())
    for line in text.splitlines():
        pattern = ".*".join(re.escape("".join(part.split())) for part in line.split("…"))
        assert re.search(pattern, found, re.S), f"not printed: {line}\n{printed}"


def _file(snippet: Snippet) -> None:
    path = Path(snippet.word)
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(snippet.text, encoding="utf-8")


def _json(snippet: Snippet) -> None:
    json.loads(snippet.text)
    if snippet.word:
        _file(snippet)


def _csv(snippet: Snippet) -> None:
    assert len({len(row) for row in csv.reader(snippet.text.splitlines())}) == 1
    _file(snippet)


def _yaml(snippet: Snippet) -> None:
    """A run file, a part of one, or a registry."""
    if snippet.word:
        _file(snippet)
    tree = yaml.safe_load(snippet.text)
    if tree.keys() <= RunConfig.model_fields.keys():
        part = Path(snippet.word or "part.yaml")
        part.write_text(snippet.text, encoding="utf-8")
        encoded(load_config(part, [f"model.path={MODEL_FOLDER}"]))
    else:
        assert read_registry(Path(snippet.word), registered_sets()).keys() == tree.keys()


def _python(snippet: Snippet) -> None:
    exec(compile(filled(snippet.text), "snippet", "exec"), {"__name__": "snippet"})


RUN: dict[str, Callable[[Snippet], None]] = {
    "json": _json,
    "jsonl": _file,
    "csv": _csv,
    "yaml": _yaml,
    "python": _python,
}


def encoded(config: RunConfig) -> EncodedData:
    """All that a run does before it loads its model."""
    encoder = load_encoder(config.model, config.data).encoder
    training = {"output_dir": "out"} | config.training
    given = config.model_copy(update={"training": training})
    training_arguments(given, evaluates=False, rows=None)
    data = encode_data(load_examples(config.data), encoder, config.data)
    batches(config.data, data.train.rows, None)
    return data


def train(config: RunConfig) -> TrainingResult:
    """In place of training: the data is read and told of, and the result is the demo model."""
    print_data(console(), encoded(config))
    output = Path(str(config.training["output_dir"]))
    with contextlib.suppress(FileExistsError):
        output.symlink_to(MODEL_FOLDER)
    return TrainingResult(output, True, 1, 1.0, None)


def download_sets(names: list[str], *_: Any) -> None:
    """In place of a download: the names have to be known."""
    for name in names:
        assert set_of(name, registered_sets()) is not None, name


def write_stand_ins(folder: Path) -> None:
    """Small files of the shape of the named sets that the pages name."""
    rows = {
        "alpaca_gpt4_data_zh.json": {"instruction": "问题{}", "input": "", "output": "回答{}"},
        "alpaca_gpt4_data_en.json": {"instruction": "ask {}", "input": "", "output": "answer {}"},
        "self_cognition.json": {
            "instruction": "你是谁{}",
            "input": "",
            "output": "我是<NAME>，由<AUTHOR>开发。{}",
        },
        "firefly-train-1.1M.jsonl": {"kind": "Couplet", "input": "上联{}", "target": "下联{}"},
    }
    folder.mkdir()
    for name, row in rows.items():
        lines = [
            json.dumps({key: text.format(number) for key, text in row.items()}, ensure_ascii=False)
            for number in range(200)
        ]
        text = "\n".join(lines) if name.endswith("l") else f"[{','.join(lines)}]"
        (folder / name).write_text(text, encoding="utf-8")
