"""What the shell's lines on a page mean to a test: run here, or judged up to where they would work.

tuneglm itself is run, on the models that come with it; a test puts something in the place of
training, of servers and of the network. Of other programs what belongs to this repository is looked
at: the target of make, the script, the extra, what is behind the launcher.
"""

import contextlib
import io
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

import pytest

from tuneglm.cli import main
from tuneglm.demo import MODEL_FOLDER, model_folder
from tuneglm.original.reading import read_arguments

ROOT = Path(__file__).parents[1]
PLACEHOLDERS = {
    "MODEL": str(MODEL_FOLDER),
    "path/to/chatglm3-6b": str(MODEL_FOLDER),
    "path/to/chatglm-6b": str(model_folder("chatglm")),
    "zai-org/chatglm3-6b": str(MODEL_FOLDER),
    "ZhipuAI/chatglm3-6b": str(MODEL_FOLDER),
    "/models": str(MODEL_FOLDER.parent),
    "/models/chatglm3-6b": str(MODEL_FOLDER),
    "src/tuneglm/demo/model": str(MODEL_FOLDER),
    # a page's commands are typed in the clone's folder
    **{
        str(path.relative_to(ROOT)): str(path)
        for folder in ("configs", "examples")
        for path in (ROOT / folder).rglob("*.*")
    },
}
# a few words are enough to see that a model answers, and one plan to see that there is one
SHORT = {
    "chat": ("--max-new-tokens", "4"),
    "evaluate": ("--max-new-tokens", "4"),
    "plan": ("--brief",),
}
TYPED = "你好\n"
SETS_VARIABLE = re.compile(r"[A-Z_]+=.*")


def shell_lines(text: str) -> list[list[str]]:
    """Commands in words, without comments."""
    lines = text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [each for each in words if each]


def run_line(words: Sequence[str], expected: int, capsys: pytest.CaptureFixture[str]) -> str:
    """Run or judge one line; what it prints. It has to end with that code."""
    with contextlib.ExitStack() as stack:
        while SETS_VARIABLE.fullmatch(words[0]):
            name, _, value = words[0].partition("=")
            stack.enter_context(patch.dict("os.environ", {name: value}))
            words = words[1:]
        typed, words = _piped(words)
        words, into = _redirected(words)
        stack.enter_context(patch.object(sys, "stdin", io.StringIO(typed)))
        capsys.readouterr()
        code = PROGRAMS[words[0]]([filled(word) for word in words[1:]])
        captured = capsys.readouterr()
        assert code == expected, (words, captured.out, captured.err)
        if into is not None:
            Path(into).write_text(captured.out, encoding="utf-8")
    return captured.out + captured.err


def filled(text: str) -> str:
    """A text with what is here in the place of what a reader has."""
    for placeholder, value in PLACEHOLDERS.items():
        text = re.sub(rf"(?<![\w/]){re.escape(placeholder)}(?![\w/])", value, text)
    return text


def _piped(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """What `echo TEXT |` hands on."""
    if "|" not in words:
        return TYPED, words
    place = list(words).index("|")
    assert words[0] == "echo"
    return " ".join(words[1:place]) + "\n", words[place + 1 :]


def _redirected(words: Sequence[str]) -> tuple[Sequence[str], str | None]:
    return (words[:-2], words[-1]) if words[-2:-1] == [">"] else (words, None)


def _tuneglm(words: Sequence[str]) -> int:
    with pytest.raises(SystemExit) as left:
        main([*words, *SHORT.get(words[0], ())])
    assert isinstance(left.value.code, int)
    return left.value.code


def _make(words: Sequence[str]) -> int:
    """Its targets are the Makefile's."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = [word for word in words if "=" not in word]
    assert targets and all(re.search(rf"^{target}:", makefile, re.M) for target in targets)
    return 0


def _python(words: Sequence[str]) -> int:
    """A script is a file whose options stand in it; of the old ones all are known."""
    script = ROOT / words[0]
    if script.parent == ROOT / "src":
        assert script.is_file() and read_arguments(words[1:])
        return 0
    text = script.read_text(encoding="utf-8")
    for word in words[1:]:
        assert not word.startswith("--") or f'"{word.partition("=")[0]}"' in text, word
    return 0


def _pip(words: Sequence[str]) -> int:
    """What is installed is this project, with extras that it has."""
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    action, *given = words
    assert action == "install" and given
    for word in given:
        name, _, extras = word.removesuffix("]").partition("[")
        assert name in (".", "tuneglm"), word
        for extra in filter(None, extras.split(",")):
            assert re.search(rf"^{extra} = \[", declared, re.M), extra
    return 0


def _launched(words: Sequence[str]) -> int:
    """Behind a launcher's own words stands `-m tuneglm …`, which is run as one process."""
    place = list(words).index("-m")
    assert words[place + 1] == "tuneglm"
    for word in words[:place]:
        assert not word.endswith((".yaml", ".json")) or Path(word).is_file(), word
    return _tuneglm(words[place + 2 :])


def _source(words: Sequence[str]) -> int:
    assert list(words) == [".venv/bin/activate"]
    return 0


PROGRAMS: dict[str, Callable[[Sequence[str]], int]] = {
    "tuneglm": _tuneglm,
    "make": _make,
    "python": _python,
    "pip": _pip,
    "accelerate": _launched,
    "torchrun": _launched,
    "source": _source,
}
