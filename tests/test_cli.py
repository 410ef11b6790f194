"""The command line: quick to help, and the whole way from a file to an answer."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

import tuneglm.__main__
from tests.conftest import Configure
from tuneglm.cli import main
from tuneglm.config import dump_config, load_config
from tuneglm.data.encoded import UNTRAINED
from tuneglm.data.examples import load_examples
from tuneglm.data.pipeline import encode_data
from tuneglm.demo import MODEL_FOLDER
from tuneglm.models.encoder import encoder_of
from tuneglm.models.loading import load_tokenizer, resolved_family

COMMANDS: list[list[str]] = [
    *([], ["train"], ["plan"], ["chat"], ["serve"], ["evaluate"], ["export"], ["demo"], ["data"]),
    *(["data", command] for command in ("check", "stats", "show", "list", "download", "identity")),
]


# what takes a tenth of a second or more to load
LARGE = {
    *("torch", "transformers", "peft", "accelerate", "datasets", "numpy", "pandas", "pyarrow"),
    *("matplotlib", "gradio", "fastapi", "uvicorn", "openai", "jieba", "nltk", "lm_eval"),
}
# pydantic's and our own are half of them
MOST_MODULES = 400


def call(*arguments: str, status: int = 0) -> None:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    assert left.value.code == status


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_does_not_wait_for_torch(command: list[str]) -> None:
    """Nor for anything else that is large: modules are counted, since machines differ in time."""
    program = (
        "import sys\n"
        "from tuneglm.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as left: assert left.code == 0\n"
        "print('\\n' + ' '.join(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, *command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = run.stdout.splitlines()[-1].split()
    assert LARGE.isdisjoint(loaded)
    assert len(loaded) < MOST_MODULES


def test_lists_of_data_do_not_wait_for_torch(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from tuneglm.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as left: assert left.code == 0\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    for words in (["list"], ["list", "--json"], ["identity", "--name", "a", "--author", "b"]):
        command = [sys.executable, "-c", program, "data", *words]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
    assert (tmp_path / "data" / "identity_probes.json").is_file()


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one", "two"])
def test_a_folder_that_is_taken_is_refused_before_torch(
    processes: tuple[str, ...], configure: Configure, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "run.yaml").write_text(dump_config(configure(folder)), encoding="utf-8")
    (folder / "adapter_model.safetensors").touch()
    program = (
        "import sys\n"
        "from tuneglm.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as left: assert left.code == 2\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    words = ["train", "model.path=MODEL", "data.train=rows.json", f"training.output_dir={folder}"]
    command = [sys.executable, "-c", program, *words, *processes]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stderr.startswith(f"Error: `{folder}` holds a finished run.\n  hint: ")
    assert not run.stdout


def test_ctrl_c_says_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for said, printed in (
        (("Rows are kept.",), "\nStopped. Rows are kept.\n"),
        ((), "\nStopped.\n"),
    ):

        def stop(*_: object, as_json: bool, said: tuple[str, ...] = said) -> None:
            raise KeyboardInterrupt(*said)

        monkeypatch.setattr("tuneglm.data.listing.list_sets", stop)
        call("data", "list", status=130)
        assert capsys.readouterr().err == printed


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("train --learning_rate=1e-3", "written without dashes: training.learning_rate=1e-3"),
        ("train --cutoff 5", "written without dashes: data.cutoff=VALUE"),
        ("chat --temprature 0 small", "did you mean `--temperature`?"),
        ("chat --foo small", "tuneglm chat --help"),
    ],
)
def test_an_option_that_is_none(typed: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    call(*typed.split(), status=2)
    assert capsys.readouterr().err.splitlines()[1].endswith(hint)


def test_a_folder_whose_name_is_mistyped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small").mkdir()
    call("chat", str(tmp_path / "smal"), status=2)
    assert f"did you mean `{tmp_path / 'small'}`?" in capsys.readouterr().err


def test_ctrl_c_while_the_program_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Importing:
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "tuneglm.cli", Importing())  # type: ignore[arg-type]
    with pytest.raises(SystemExit) as left:
        tuneglm.__main__.main()
    assert left.value.code == 130


def test_from_a_file_to_an_answer(
    configure: Configure,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run file trains, its copy in the output repeats it, and the result answers a pipe."""
    out = tmp_path / "out"
    settings = configure(out, "training.max_steps=60", "method.targets=all")
    (tmp_path / "run.yaml").write_text(dump_config(settings), encoding="utf-8")
    call("train", str(tmp_path / "run.yaml"))
    assert "tuneglm chat" in capsys.readouterr().out
    call("train", str(out / "run.yaml"))
    again = tmp_path / "out-2"
    first = (out / "adapter_model.safetensors").read_bytes()
    assert (again / "adapter_model.safetensors").read_bytes() == first
    capsys.readouterr()
    monkeypatch.setattr(
        "tuneglm.chat.talk.sys.stdin", _Pipe("你是谁？\n/clear\n\n/quit\nnot asked\n")
    )
    call("chat", str(out), "--temperature", "0")
    assert capsys.readouterr().out.splitlines() == [
        "我是星河。",
        "The conversation begins anew.",
    ]


class _Pipe:
    def __init__(self, text: str) -> None:
        self._lines = text.splitlines(keepends=True)

    def isatty(self) -> bool:
        return False

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)


def test_data_show_marks_exactly_what_has_a_label(
    rows_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"model.path={MODEL_FOLDER}", f"data.train={rows_file}"]
    call("data", "show", *settings, "--rows", "12")
    printed = capsys.readouterr().out.split("rows.json:1 ", 1)[1]
    config = load_config(None, settings)
    tokenizer = load_tokenizer(MODEL_FOLDER)
    family = resolved_family(MODEL_FOLDER)
    encoder = encoder_of(config.data, tokenizer, family)
    rows = encode_data(load_examples(config.data), encoder, config.data).train.rows
    marked = [text.replace("⏎\n", "\n") for text in re.findall(r"⟦(.*?)⟧", printed, re.S)]
    trained: list[str] = []
    for row in rows:
        assert all(label in (token, UNTRAINED) for token, label in zip(row.input_ids, row.labels))
        kinds = [(label != UNTRAINED, special) for label, special in zip(row.labels, row.special)]
        before = False
        for (has_label, _), run in groupby(range(row.length), key=kinds.__getitem__):
            text = tokenizer.decode([row.input_ids[place] for place in run])
            if has_label and before:
                trained[-1] += text
            elif has_label:
                trained.append(text)
            before = has_label
    assert marked == trained


def test_data_show_tells_of_rows_that_are_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"instruction": "a", "output": "b" * 500}, {"instruction": "c"}, {"output": "d"}]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows, indent=0))
    settings = [f"model.path={MODEL_FOLDER}", f"data.train={path}", "data.cutoff=32"]
    call("data", "show", *settings, "data.bad_rows=skip")
    printed = capsys.readouterr().out
    assert "cut to fit" in printed
    assert f"Skipped `{path}:6, row 2`: the answer is missing" in printed
    assert "Skipped 2 rows in all." in printed


def test_the_release_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    call("--version")
    assert capsys.readouterr().out == f"tuneglm {tuneglm.__version__}\n"


def test_data_show_help_names_its_settings(capsys: pytest.CaptureFixture[str]) -> None:
    call("data", "show", "--help")
    printed = capsys.readouterr().out
    assert "data.train[].columns" in printed and "data.dir" in printed
    assert "method.rank" not in printed


def test_ctrl_c_saves_a_checkpoint_and_the_same_command_goes_on(
    configure: Configure, tmp_path: Path
) -> None:
    config = configure(tmp_path / "out", "training.max_steps=300", "training.save_steps=1000")
    (tmp_path / "run.yaml").write_text(dump_config(config), encoding="utf-8")
    command = [sys.executable, "-m", "tuneglm", "train", str(tmp_path / "run.yaml")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    log = tmp_path / "out" / "log.jsonl"
    for _ in range(600):
        if log.is_file() and log.stat().st_size > 0:
            break
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130, printed
    assert "Traceback" not in printed
    assert "the same command again" in printed
    assert not (tmp_path / "out" / "adapter_model.safetensors").exists()
    (stopped_at,) = [int(p.name.rpartition("-")[2]) for p in log.parent.glob("checkpoint-*")]
    call("train", str(tmp_path / "run.yaml"), f"training.max_steps={stopped_at + 2}")
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
