"""The conversation in a pipe: adapters of any kind, each loaded once and asked by its name."""

import io
import shutil
import sys
from pathlib import Path

import pytest

import tuneglm
from tests.conftest import Configure
from tuneglm.cli import main
from tuneglm.demo import MODEL_FOLDER, model_folders

SETTINGS = {
    "lora": ("method=lora", "method.targets=all", "training.learning_rate=0.01"),
    "prefix": ("method=p_tuning", "method.length=8", "training.learning_rate=0.3"),
    "short": ("method=p_tuning", "method.length=2", "training.learning_rate=0.1"),
    "prompt": ("method=prompt", "method.length=4", "training.learning_rate=0.3"),
}
QUESTION = "你是谁？"
GREEDILY = ("--temperature", "0", "--max-new-tokens", "12")
GREEDY = tuneglm.ChatConfig(temperature=0, max_new_tokens=12)


@pytest.fixture(scope="module")
def adapters(configure: Configure, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return {
        name: tuneglm.train(configure(folder / name, *settings)).folder
        for name, settings in SETTINGS.items()
    }


def said(
    lines: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> list[str]:
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    with pytest.raises(SystemExit):
        main(["chat", *words, "--device", "cpu", "--dtype", "float32", *GREEDILY])
    printed = capsys.readouterr()
    return (printed.out or printed.err).splitlines()


def test_each_answers_in_its_turn(
    adapters: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As it does alone; the first one begins."""
    words = [str(MODEL_FOLDER)]
    for name, path in adapters.items():
        words += ["--adapter", f"{name}={path}"]
    order = ("lora", "base", "prompt", "prefix", "lora")
    lines = "/clear\n".join(f"/adapter {name}\n{QUESTION}\n" for name in order)
    printed = said(
        f"{QUESTION}\n/clear\n{lines}/adapter\n/adapter lara\n", words, monkeypatch, capsys
    )
    alone = {name: answer(path) for name, path in {**adapters, "base": MODEL_FOLDER}.items()}
    assert len(set(alone.values())) == len(alone)
    assert printed[0] == alone["lora"]
    asked = [line for line in printed[2:-3] if "answers from now on" not in line]
    assert [line for line in asked if "begins anew" not in line] == [alone[name] for name in order]
    assert printed[-3] == "`lora` answers; there are base, lora, prefix, short, prompt."
    assert printed[-2:] == [
        "There is no adapter `lara` here.",
        "  hint: did you mean `lora`? known: base, lora, prefix, short, prompt",
    ]


def answer(path: Path) -> str:
    chat = tuneglm.ChatModel(path, dtype="float32", device="cpu")
    return chat.reply([{"role": "user", "content": QUESTION}], GREEDY)


def test_one_call_answers_each_conversation_with_its_own(adapters: dict[str, Path]) -> None:
    """Prefixes of unlike lengths, a soft prompt and the base share a batch; LoRA has its own."""
    chat = tuneglm.ChatModel(MODEL_FOLDER, dtype="float32", device="cpu", adapters=adapters)
    names = ["prefix", "base", "lora", "short", "prompt", "prefix"]
    conversations = [[{"role": "user", "content": QUESTION}]] * len(names)
    together = chat.replies(conversations, GREEDY, names)
    assert chat.adapters.chosen == ("lora",)
    alone = {name: answer(path) for name, path in {**adapters, "base": MODEL_FOLDER}.items()}
    assert together == [alone[name] for name in names]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["a=A", "B"], "does not give each a name of its own"),
        (["a=A", "a=B"], "does not give each a name of its own"),
        (["=A"], "does not give each a name of its own"),
        (["a=nowhere"], "There is no folder `nowhere`"),
        ([f"base={MODEL_FOLDER}"], "cannot be called `base`"),
        ([f"a={MODEL_FOLDER}"], "holds no adapter"),
    ],
)
def test_names_that_cannot_be(
    given: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [str(MODEL_FOLDER), *(part for each in given for part in ("--adapter", each))]
    assert sentence in said("", words, monkeypatch, capsys)[0]


@pytest.mark.parametrize("named", ["", "x="])
def test_one_of_another_family_is_one_message(
    adapters: dict[str, Path],
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """That it does not fit; not also that its answers would be nonsense."""
    caplog.set_level("INFO", "tuneglm")
    words = [str(model_folders()["chatglm"]), "--adapter", f"{named}{adapters['lora']}"]
    error, hint = said("你好\n", words, monkeypatch, capsys)
    assert error.startswith("Error: The adapter") and "hint: it was trained on another" in hint
    assert not [each for each in caplog.messages if "trained on other weights" in each]


def test_one_of_other_weights_is_doubted_once(
    adapters: dict[str, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "tuneglm")
    other = Path(shutil.copytree(MODEL_FOLDER, tmp_path / "other"))
    for file in other.glob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\0")
    for _ in range(2):
        tuneglm.ChatModel(other, adapters={"x": adapters["lora"]}, dtype="float32", device="cpu")
    assert len([each for each in caplog.messages if "trained on other weights" in each]) == 1
