"""Every block of every page is run, or says why it is not; both languages show the same.

What is run is run on the English page; the other one has the same blocks.
"""

import json
import re
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

import tuneglm
from tests.conftest import ROWS, Configure
from tests.original import old_checkpoints
from tests.page_commands import ROOT
from tests.snippets import Snippet, download_sets, run_page, snippets, train
from tuneglm.demo import MODEL_FOLDER, model_folder
from tuneglm.launch import launch

ENGLISH = [ROOT / "README.md", *sorted((ROOT / "docs" / "en").glob("*.md"))]
# pages whose blocks are run by other tests
ELSEWHERE = {
    **dict.fromkeys(("data", "named-sets", "mixing", "batches", "identity"), "tests/test_docs.py"),
    "original": "tests/original/test_commands_of_the_page.py",
    "extending": "tests/test_extending.py",
}
RUN = [page for page in ENGLISH if page.stem not in ELSEWHERE and list(snippets(page))]
RESULTS = ("out", "out1", "out2", "OUT1", "OUT2", "demo_output")


def twin_of(page: Path) -> Path:
    if page.name == "README.md":
        return ROOT / "README_zh.md"
    return ROOT / "docs" / "zh" / page.name


def name_of(page: Path) -> str:
    return page.stem


@pytest.fixture(scope="session")
def trained(configure: Configure, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two steps made of the small model."""
    folder = tmp_path_factory.mktemp("pages") / "out"
    settings = ("training.max_steps=2", "data.evaluation_rows=2")
    return Path(tuneglm.train(configure(folder, *settings)).folder)


@pytest.fixture
def workplace(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the pages take for granted, without a network, GPUs and servers."""
    for name in RESULTS:
        shutil.copytree(trained, tmp_path / name)
    for name in ("chatglm-6b", "chatglm-6b-int4"):
        (tmp_path / name).symlink_to(model_folder("chatglm"))
    old_checkpoints.write(tmp_path / "their_lora", "lora")
    old_checkpoints.write(tmp_path / "ptuning" / "output" / "checkpoint-3000", "p_tuning")
    rows = [row for row in ROWS[:4] if "history" not in row]
    for name in ("my.json", "held.json"):
        (tmp_path / name).write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    lines = "\n".join(json.dumps({"prompt": row["instruction"]}) for row in rows[:2])
    (tmp_path / "rows.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "questions.txt").write_text("你是谁？\n", encoding="utf-8")
    (tmp_path / "users.txt").write_text("somebody:a-long-password\n", encoding="utf-8")
    run = f"model: {{path: {MODEL_FOLDER}}}\ndata: {{train: my.json}}\n"
    (tmp_path / "run.yaml").write_text(run + "training: {output_dir: ran}\n", encoding="utf-8")
    theirs = f"model_name_or_path: {MODEL_FOLDER}\ndataset: ./my.json\noutput_dir: theirs\n"
    (tmp_path / "llama_factory.yaml").write_text(theirs, encoding="utf-8")
    (tmp_path / "results").mkdir()
    _replace(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _replace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training, servers, several processes, hubs: judged up to where they would begin."""

    def several(arguments: Any, count: int) -> int:
        assert count > 1 and arguments
        return 0

    def served(_: Any, listening: socket.socket) -> int:
        listening.close()
        return 0

    def free(*_: Any) -> socket.socket:
        found = socket.socket()
        found.bind(("127.0.0.1", 0))
        return found

    monkeypatch.setattr("tuneglm.training.train", train)
    # a page trains into `out` and talks to it: here its result is there before
    monkeypatch.setattr("tuneglm.checkpoints.refuse_taken", lambda config: None)
    monkeypatch.setattr(f"{launch.__module__}.launch", several)
    monkeypatch.setattr("tuneglm.api.server.bound", free)
    monkeypatch.setattr("tuneglm.api.server.serve", served)
    monkeypatch.setattr("tuneglm.web.server.bound_socket", free)
    monkeypatch.setattr("tuneglm.web.server.serve", lambda *given: given[-1].close())
    monkeypatch.setattr("tuneglm.doctor.machine.reached", lambda hub: (f"https://{hub}", False))
    monkeypatch.setattr("tuneglm.data.listing.download_sets", download_sets)


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_blocks_run(page: Path, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_page(page, capsys)


@pytest.mark.parametrize("page", ENGLISH, ids=name_of)
def test_pages_of_both_languages_show_the_same(page: Path) -> None:
    shown = [[_told(each) for each in snippets(one)] for one in (page, twin_of(page))]
    assert shown[0] == shown[1]
    heads = [re.findall(r"^(#+) ", _without_blocks(one), re.M) for one in (page, twin_of(page))]
    assert heads[0] == heads[1]


def _told(snippet: Snippet) -> tuple[str, str, str, str]:
    """A block: code without its comments, of rows and what is printed only that it is there.

    Comments and rows are in the page's language.
    """
    is_code = snippet.kind in ("bash", "python", "yaml", "diff")
    code = re.sub(r"(^|\s+)# .*$", "", snippet.text, flags=re.M) if is_code else ""
    return snippet.kind, snippet.word, code, snippet.reason


def _without_blocks(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


@pytest.mark.parametrize(
    "page", [*ENGLISH, *map(twin_of, ENGLISH), *(ROOT / "docs").glob("*.md")], ids=str
)
def test_there_is_no_third_kind(page: Path) -> None:
    """A block is found by whoever runs it, and none stands on a page that nobody runs."""
    text = page.read_text(encoding="utf-8")
    blocks = list(snippets(page))
    assert len(re.findall(r"^\s*```", text, re.M)) == 2 * len(blocks)
    assert text.count("<!-- not run: ") == sum(bool(block.reason) for block in blocks)
    twins = {*RUN, *map(twin_of, RUN)}
    if page not in twins and page.stem not in ELSEWHERE:
        assert all(block.reason for block in blocks)


def test_the_tests_of_other_pages_are_there() -> None:
    for name, place in ELSEWHERE.items():
        assert (ROOT / place).is_file()
        assert (ROOT / "docs" / "en" / f"{name}.md").is_file()
