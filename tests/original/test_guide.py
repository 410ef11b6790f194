"""The guide of ChatGLM-Efficient-Tuning, its own command blocks read out of its text and run.

Changed are paths alone: the second run's output folder, and where the first one's is looked for.
"""

import re
import textwrap
from pathlib import Path

import pytest

from tests.original.clone import ROOT, called, make_clone
from tests.published import SHARED

GUIDE = SHARED / "000_3ff1b965fca84c67.txt"
FIRST, SECOND = "output/0418-02", "output/0418-03"
# the line that its comment asks to be adjusted: it names modules, and the code their contents
NAMES = "from utils import ModelArguments, load_pretrained\n"
# what follows it in the official demonstration
DEMONSTRATION = """
chatbot, history = [("", "")], []
for response, history in model.stream_chat(
    tokenizer, "你是谁？", history, max_length=60, top_p=0.7, temperature=0.95
):
    chatbot[-1] = ("你是谁？", response)
print(chatbot, history)
ids = tokenizer("你好", return_tensors="pt")
print(tokenizer.decode(model.generate(**ids, max_new_tokens=4)[0]))
"""

pytestmark = pytest.mark.skipif(not GUIDE.is_file(), reason="the guide is not here")


def block(language: str, word: str) -> str:
    """The block of that language with a word in it, without what is invisible at lines' ends."""
    blocks = re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    (found,) = [each for each in blocks if word in each]
    return "\n".join(line.rstrip() for line in found.splitlines()) + "\n"


def commands(word: str) -> str:
    """A block of commands, without the sentences of the guide among them."""
    lines = block("bash", word).splitlines()
    return "\n".join(line for line in lines if not re.match(r"[\u4e00-\u9fff]", line)) + "\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `accelerate config` was answered before."""
    home = tmp_path_factory.mktemp("home")
    (home / "accelerate").mkdir()
    text = (ROOT / "configs" / "accelerate" / "ddp.yaml").read_text(encoding="utf-8")
    (home / "accelerate" / "default_config.yaml").write_text(text, encoding="utf-8")
    return home


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    """The clone's folder of scripts, after the first command of the guide."""
    scripts = make_clone(tmp_path_factory.mktemp("clone"))
    done = called(["bash", "-c", commands("CUDA_VISIBLE_DEVICES=1")], scripts, home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "`--fp16` is passed over" in done.stdout
    assert "tuneglm train model.path=" in done.stdout
    return scripts


def test_the_first_run_leaves_what_it_promises(scripts: Path) -> None:
    names = {path.name for path in (scripts / FIRST).iterdir()}
    assert names >= {"adapter_config.json", "adapter_model.safetensors", "train_results.json"}


def test_freeze_in_several_processes(scripts: Path, home: Path) -> None:
    text = commands("accelerate launch")
    assert FIRST in text
    done = called(["bash", "-c", text.replace(FIRST, SECOND)], scripts, home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--processes 2" in done.stdout
    assert (scripts / SECOND / "adapter_model.safetensors").is_file()


def test_the_result_is_talked_to(scripts: Path, home: Path) -> None:
    text = commands("infer_chatglm.py").replace(f"chatglm_efficient_tuning/{FIRST}", FIRST)
    done = called(["bash", "-c", text], scripts, home, "你好\nclear\nstop\n从不\n")
    assert done.returncode == 0, done.stderr
    after = done.stdout.split("clear: begin anew")[1].splitlines()[1:]
    assert len(after) == 2 and after[0], done.stdout
    assert after[1] == "The conversation begins anew."


def test_the_official_page_runs_on_what_is_loaded(scripts: Path, home: Path) -> None:
    code = block("python", "load_pretrained")
    first, rest = code.split("\n", 1)
    code = first + "\n" + NAMES + textwrap.dedent(rest)
    code = code.replace("chatglm_efficient_tuning/output/0417/", FIRST) + DEMONSTRATION
    done = called(["python", "-c", code], scripts, home)
    assert done.returncode == 0, done.stderr
    assert "no GPU is here" in done.stderr
    assert done.stdout.startswith("[('你是谁？', '") and "'role': 'assistant'" in done.stdout
