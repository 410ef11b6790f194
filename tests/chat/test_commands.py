"""What may be typed in place of a question, with one that answers and with two."""

import io
import json
import re
from collections.abc import Generator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tuneglm.chat import Chat, run
from tuneglm.chat.commands import COMMANDS
from tuneglm.chat.voices import Voice
from tuneglm.config import ChatConfig
from tuneglm.data.files import read_rows
from tuneglm.data.recognise import recognise
from tuneglm.demo import MODEL_FOLDER
from tuneglm.generate import ChatModel


class Counting:
    """Answers with how often it was asked, and remembers what it was asked."""

    def __init__(self, name: str = "", circle: str = "") -> None:
        self.name, self.circle = name, circle
        self.asked: list[tuple[Any, ChatConfig]] = []

    def stream(self, conversation: Any, config: ChatConfig) -> Generator[str, None, None]:
        self.asked.append((list(conversation), config))
        if self.circle:
            while True:
                yield self.circle
        yield f"{self.name}answer "
        yield str(len(self.asked))


def talk(lines: list[str], *models: Counting) -> tuple[Chat, list[str]]:
    output = io.StringIO()
    voices = [Voice(each.name or "one", each) for each in models]  # type: ignore[arg-type]
    chat = Chat(voices, ChatConfig(temperature=0.5), output)
    run(chat, lines)
    return chat, output.getvalue().splitlines()


def test_retry_asks_again_and_undo_takes_back() -> None:
    model = Counting()
    chat, said = talk(["first", "second", "/retry", "/undo", "/undo", "/undo", "/retry"], model)
    assert said == [
        *("answer 1", "answer 2", "answer 3"),
        "Taken back: `second` and what was answered.",
        "Taken back: `first` and what was answered.",
        "There is nothing to take back.",
        "There is no answer yet to ask for again.",
    ]
    assert model.asked[1] == model.asked[2]
    assert chat.voices[0].messages == []


class Stopped(Counting):
    """In whose second answer Ctrl-C is pressed."""

    def stream(self, conversation: Any, config: ChatConfig) -> Generator[str, None, None]:
        yield from super().stream(conversation, config)
        if len(self.asked) == 2:
            raise KeyboardInterrupt


def test_ctrl_c_ends_an_answer_and_in_a_pipe_all() -> None:
    output = io.StringIO()
    for is_typed, answers in ((True, 3), (False, 2)):
        model = Stopped()
        voices = [Voice("one", model)]  # type: ignore[arg-type]
        chat = Chat(voices, ChatConfig(), output, is_typed=is_typed)
        with nullcontext() if is_typed else pytest.raises(KeyboardInterrupt):
            run(chat, ["first", "second", "third"])
        assert len(model.asked) == answers
        # what was said before it stays with a person, who may go on
        assert len(chat.voices[0].messages) == (6 if is_typed else 2)


@pytest.mark.parametrize("columns", [40, 100])
def test_settings_at_a_terminal_of_any_width(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a narrow one what a setting means stands below it, whole words in a line."""
    output = io.StringIO()
    monkeypatch.setattr(output, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    chat = Chat([Voice("one", Counting())], ChatConfig(), output)  # type: ignore[arg-type]
    run(chat, ["/set", "/help"])
    lines = re.sub(r"\x1b\[[\d;]*m", "", output.getvalue()).splitlines()
    assert max(map(len, lines)) <= columns
    meaning = next(line for line in lines if "0 always takes" in line)
    assert meaning.startswith("  0 always takes" if columns == 40 else "temperature")
    assert "/clear             begin anew" in "\n".join(lines)


def test_settings_are_live() -> None:
    model = Counting()
    lines = ["a", "/set temperature 0.3", "/set max-new-tokens=7", "/set seed 4", "b"]
    _, said = talk([*lines, "/set seed none", "c", "/set"], model)
    assert said[1:4] == ["temperature is 0.3.", "max_new_tokens is 7.", "seed is 4."]
    configs = [config for _, config in model.asked]
    assert configs[0].temperature == 0.5
    assert (configs[1].temperature, configs[1].max_new_tokens, configs[1].seed) == (0.3, 7, 4)
    assert configs[2].seed is None
    assert [line.split()[0] for line in said[-len(ChatConfig.model_fields) :]] == list(
        ChatConfig.model_fields
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "/set temprature 1",
            "There is no setting `temprature`.|  hint: did you mean `temperature`?",
        ),
        ("/set top_p 7", "`top_p` cannot be `7`"),
        ("/set top_p", "top_p is 0.8: no new value is named."),
        ("/set temperature hot", "`temperature` cannot be `hot`"),
        ("/retri", "There is no command `/retri`.|  hint: did you mean `/retry`?"),
        ("/save", "No file is named."),
        ("/load nowhere.json", "There is no file `nowhere.json`."),
        ("/tokens", "Nothing has been said yet."),
    ],
)
def test_what_is_mistyped_gets_a_sentence(line: str, sentence: str) -> None:
    _, said = talk([line], Counting())
    assert "|".join(said).startswith(sentence)


def test_a_system_message_begins_anew() -> None:
    model = Counting()
    _, said = talk(["a", "/set system Be brief.", "b", "/system", "b", "/system -", "c"], model)
    assert any("The system message is `Be brief.`" in line for line in said)
    # to ask what it is leaves the conversation as it was
    assert [len(conversation) for conversation, _ in model.asked] == [1, 1, 3, 1]
    assert [config.system for _, config in model.asked] == ["", "Be brief.", "Be brief.", ""]


def test_what_was_saved_is_read_back_and_is_a_data_set(tmp_path: Path) -> None:
    for name in ("talk.json", "talk.jsonl"):
        path = tmp_path / name
        _, said = talk(["/system Be brief.", "你好", "again", f"/save {path}"], Counting())
        assert "data.train" in said[-1]
        (row,) = [each.value for each in read_rows(path)]
        assert recognise([row]).format == "messages"
        assert isinstance(row, dict)
        assert [each["role"] for each in row["messages"]] == ["system", *["user", "assistant"] * 2]
        other = Counting()
        loaded, said = talk([f"/load {path}", "more"], other)
        assert said[0].startswith("Loaded 5 messages")
        assert other.asked[0][0] == [*row["messages"], {"role": "user", "content": "more"}]
        assert loaded.voices[0].messages[:5] == row["messages"]


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("dear to me")
    _, said = talk(["a", f"/save {path}", f"/save {tmp_path}/no/such.json"], Counting())
    assert said[1] == f"`{path}` is there already."
    assert "cannot be written: No such file or directory" in said[3]
    assert path.read_text() == "dear to me"
    path.unlink()
    talk(["a", f"/save {path}", "b", f"/save {path}"], Counting())
    assert len(json.loads(path.read_text())[0]["messages"]) == 4
    assert [each.name for each in tmp_path.iterdir()] == ["mine.json"]


def test_two_answer_each_in_its_own_conversation(tmp_path: Path) -> None:
    first, second = Counting("A "), Counting("B ")
    path = tmp_path / "two.json"
    chat, said = talk(["x", "y", f"/save {path}", "/undo", f"/load {path}"], first, second)
    assert said[:4] == ["A : A answer 1", "B : B answer 1", "A : A answer 2", "B : B answer 2"]
    assert second.asked[1][0][1]["content"] == "B answer 1"
    assert [len(voice.messages) for voice in chat.voices] == [4, 4]
    assert chat.voices[0].messages[-1]["content"] == "A answer 2"


def test_an_answer_that_goes_in_circles_is_stopped() -> None:
    model = Counting(circle="我是星河，由北斗实验室开发。")
    chat, said = talk(["你是谁？"], model)
    assert "Stopped: `我是星河，由北斗实验室开发。` came" in said[1]
    assert "repetition_penalty" in said[2] and "end token" in said[2]
    assert chat.voices[0].messages[-1]["content"] == "我是星河，由北斗实验室开发。"


def test_help_lists_every_command() -> None:
    _, said = talk(["/help"], Counting())
    assert [line.split()[0] for line in said] == list(COMMANDS)


def test_tokens_are_those_of_the_prompt_and_the_answer() -> None:
    model = ChatModel(MODEL_FOLDER, device="cpu", dtype="float32")
    voice, output = Voice("demo", model), io.StringIO()
    chat = Chat([voice], ChatConfig(temperature=0), output)
    run(chat, ["你好", "/tokens"])
    answer, counted, pieces = output.getvalue().splitlines()
    whole = model.conversation_ids(voice.messages)
    prompt = model.prompt(voice.messages[:1])
    assert whole[: len(prompt)] == prompt
    assert counted.startswith(f"{len(whole)} tokens of 512 that the model reads; the last answer")
    assert f"has {len(whole) - len(prompt)}:" in counted
    # every one is seen, also what is no text
    assert len(pieces.split("|")) == len(whole) - len(prompt)
    assert pieces.replace("|", "").replace("⏎", "").replace("·", "").strip() == answer
