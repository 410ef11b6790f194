"""Many questions of a file: the answers that one by one would be given, and going on."""

import json
from pathlib import Path
from typing import Any

import pytest

from tuneglm.chat.questions import questions_of
from tuneglm.cli import main
from tuneglm.config import ChatConfig
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import DataError
from tuneglm.generate import ChatModel

WORDS = ("--temperature", "0", "--max-new-tokens", "12", "--device", "cpu", "--dtype", "float32")
ROWS: list[dict[str, Any]] = [
    {"prompt": "你好"},
    {"instruction": "Who are you?", "input": "", "output": "I am X."},
    {"messages": [{"role": "user", "content": "你是谁？"}]},
    {
        "conversations": [
            {"from": "human", "value": "Hello"},
            {"from": "gpt", "value": "Hello!"},
            {"from": "human", "value": "3+4="},
            {"from": "gpt", "value": "7"},
        ]
    },
    {"instruction": "法国的首都是哪里？"},
    *({"prompt": f"{number} + 1 = "} for number in range(14)),
]


def ask(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["chat", str(MODEL_FOLDER), *map(str, words), *WORDS])
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out + printed.err


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    lines = (json.dumps(row, ensure_ascii=False) for row in ROWS)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_answers_are_those_of_one_by_one(
    rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ask(capsys, "--prompt-file", rows)
    answers = rows.with_name("rows-answers.jsonl")
    assert (code, f"Saved  {answers}" in said) == (0, True)
    given = [json.loads(line) for line in answers.read_text("utf-8").splitlines()]
    model = ChatModel(MODEL_FOLDER, device="cpu", dtype="float32")
    greedy = ChatConfig(temperature=0, max_new_tokens=12)
    assert [each["row"] for each in given] == list(range(1, len(ROWS) + 1))
    assert [each["answer"] for each in given] == [
        model.reply(each["messages"], greedy).strip() for each in given
    ]
    assert [each.get("expected") for each in given[:5]] == [None, "I am X.", None, "7", None]
    assert [len(each["messages"]) for each in given[:5]] == [1, 1, 1, 3, 1]


def test_the_same_command_goes_on(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = rows.with_name("a.jsonl")
    ask(capsys, "--prompt-file", rows, "--output", answers)
    whole = answers.read_bytes()
    lines = whole.splitlines(keepends=True)
    # as a process leaves it that was killed while it wrote
    answers.write_bytes(b"".join(lines[:17]) + lines[17][:25])
    code, said = ask(capsys, "--prompt-file", rows, "--output", answers)
    assert (code, f"17 of {len(ROWS)} rows are answered already" in said) == (0, True)
    assert answers.read_bytes() == whole
    ask(capsys, "--prompt-file", rows, "--output", answers)
    assert answers.read_bytes() == whole


def test_ctrl_c_keeps_what_is_answered(
    rows: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    replies, calls = ChatModel.replies, []

    def stopped(
        self: ChatModel, conversations: Any, config: ChatConfig, **options: Any
    ) -> list[str]:
        calls.append(len(conversations))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return replies(self, conversations, config, **options)

    monkeypatch.setattr(ChatModel, "replies", stopped)
    code, said = ask(capsys, "--prompt-file", rows)
    answers = rows.with_name("rows-answers.jsonl")
    assert (code, f"The answers so far are in {answers}" in said) == (130, True)
    assert len(answers.read_text("utf-8").splitlines()) == calls[0] < len(ROWS)


def test_an_answer_in_circles_ends_early(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its first copy kept; what is beside it in a batch is answered as alone."""
    asked = ["哈哈哈哈哈哈哈哈", "法国的首都是哪里", "Tell me a story"]
    (tmp_path / "q.txt").write_text("\n".join(asked), encoding="utf-8")
    drawn: list[int] = []
    draw = ChatModel._draw

    def counted(self: ChatModel, ids: Any, *others: Any, **options: Any) -> Any:
        outputs = draw(self, ids, *others, **options)
        drawn.append(outputs.shape[1] - ids.shape[1])
        return outputs

    monkeypatch.setattr(ChatModel, "_draw", counted)
    config = ChatConfig(temperature=0, max_new_tokens=400, repetition_penalty=0.4)
    words = ["chat", str(MODEL_FOLDER), "--prompt-file", str(tmp_path / "q.txt"), *WORDS]
    words[words.index("12")] = "400"
    with pytest.raises(SystemExit) as ended:
        main([*words, "--repetition-penalty", "0.4"])
    printed = capsys.readouterr()
    given = [json.loads(line) for line in (tmp_path / "q-answers.jsonl").open(encoding="utf-8")]
    repeated = [each for each in given if "repeated" in each]
    assert ended.value.code == 0 and repeated and max(drawn) < 400
    assert f"the answers to {len(repeated)} row" in printed.err
    model = ChatModel(MODEL_FOLDER, device="cpu", dtype="float32")
    for each in given:
        alone = model.reply(each["messages"], config).strip()
        assert alone.startswith(each["answer"])
        unit = each.get("repeated")
        assert (unit is None) == (alone == each["answer"]), (alone, each)
        assert unit is None or (unit * 6 in alone and each["answer"].endswith(unit.rstrip()))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("dear to me\n", "holds what is no answer, in line 1"),
        (
            '{"messages": [], "model": ["model"], "settings": {}}\n',
            "the answer to another question",
        ),
    ],
)
def test_a_file_of_something_else_is_left_alone(
    content: str, sentence: str, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = rows.with_name("other.jsonl")
    other.write_text(content)
    code, said = ask(capsys, "--prompt-file", rows, "--output", other)
    assert (code, sentence in said) == (2, True)
    assert other.read_text() == content


def test_answers_of_other_settings_are_not_gone_on_with(
    rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(capsys, "--prompt-file", rows)
    code, said = ask(capsys, "--prompt-file", rows, "--repetition-penalty", "1.5")
    assert (code, "of another model or with other settings: model, max_new_tokens 12" in said) == (
        2,
        True,
    )


def test_the_questions_are_not_overwritten(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = rows.read_bytes()
    code, said = ask(capsys, "--prompt-file", rows, "--output", rows)
    assert (code, "holds the questions" in said, rows.read_bytes()) == (2, True, before)


def test_lines_of_text_are_questions(tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("你好\n\n你是谁？\n", encoding="utf-8")
    asked = questions_of(tmp_path / "q.txt")
    assert [each.messages[0]["content"] for each in asked] == ["你好", "你是谁？"]
    assert [each.expected for each in asked] == [None, None]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"prompt": ""}\n', "rows.jsonl:1"),
        ('{"prompt": "a"}\n{"strange": 1}\n', "rows.jsonl:2"),
        ("[]", "holds no rows"),
        ('{"messages": [{"role": "assistant", "content": "x"}]}\n', "rows.jsonl:1"),
        ('{"prompt": "a"\n', "rows.jsonl:1"),
    ],
)
def test_rows_that_cannot_be_asked(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(text)
    with pytest.raises(DataError, match=sentence):
        questions_of(tmp_path / "rows.jsonl")
