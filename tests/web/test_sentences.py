"""What the program says in English, the page says in Chinese: rows, settings, its own sentences."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.planted import plant, plant_conversations
from tuneglm.config import load_config, load_data_config
from tuneglm.data.check import check
from tuneglm.data.example_set import RowProblem
from tuneglm.errors import ConfigError, DataError, ModelError, UserError
from tuneglm.web.sentences import in_chinese
from tuneglm.web.words import Words

SOURCE = Path(__file__).parents[2] / "src" / "tuneglm"
ZH = Words("zh")
# said to whoever starts the page at a terminal, before there is one
AT_A_TERMINAL = ("server.py", "users.py")
# two words of a sentence that was not translated; settings are names, and values are in backticks
ENGLISH = re.compile(r"\b[a-z]{2,} [a-z]{2,}\b")


def calls(folder: str, *names: str) -> Iterator[tuple[str, str]]:
    """(file, text) of what errors of these classes are made of, `x` in the place of values."""
    for path in sorted((SOURCE / folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
                yield from ((path.name, text) for text in map(template, node.args[:2]) if text)


def template(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "x" for part in node.values]
        return "".join(map(str, parts))
    return ""


def test_every_sentence_of_the_page_is_known() -> None:
    named = ("ConfigError", "DataError", "ModelError", "OutputError", "UserError")
    said = [text for file, text in calls("web", *named) if file not in AT_A_TERMINAL]
    assert len(said) > 40
    said.remove("--models takes folders with config.json")
    assert [text for text in said if in_chinese(text) is None] == []


def test_every_sentence_about_data_is_known() -> None:
    said = [text for _, text in calls("data", "RowError", "_FaultError", "DataError", "RowProblem")]
    assert len(said) > 150
    # where all is a value, it is one of several sentences, which the next test sees
    said = [text for text in said if text not in ("x", "x not x")]
    assert [text for text in said if in_chinese(text) is None] == []


def problems(folder: Path) -> Iterator[RowProblem]:
    plant(folder / "rows.jsonl")
    plant_conversations(folder / "conversations.jsonl")
    (folder / "table.csv").write_text('instruction,output\na,b,c\n"x,y\n', "utf-8")
    for name in ("rows.jsonl", "conversations.jsonl", "table.csv"):
        found: list[RowProblem] = []
        settings = [f"data.train=[{{path: {folder / name}}}]", "data.workers=1"]
        check(load_data_config(None, settings).data, found.append)
        yield from found


def test_what_a_check_finds_is_said_in_chinese(tmp_path: Path) -> None:
    """Every planted fault, with what to do about it, and nothing of it in English."""
    said = [text for one in problems(tmp_path) for text in (one.sentence, one.remedy)]
    assert len(said) > 60
    assert [text for text in said if in_chinese(text) is None] == []
    left = [
        text
        for text in map(ZH.said, said)
        if ENGLISH.search(re.sub("`[^`]*`|（iconv.*）", "", text))
    ]
    assert left == []


BROKEN = """[
{"instruction": "q", "output": "a"},
{"a": 1,},
{"a": [1
},
{"a": "x},
{"a": "x" y"},
{"a":
},
{"a": 1
,
{"a" 1},
{"a": ["b": 1]},
{"a": 'x'},
{"a": "x\ty"}
{"a": 1},
]"""


def test_where_json_is_broken_is_said_in_chinese(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(BROKEN, encoding="utf-8")
    found: list[RowProblem] = []
    check(load_data_config(None, [f"data.train={tmp_path / 'rows.json'}"]).data, found.append)
    faults = [one for one in found if one.problem == "bad_json"]
    assert len({one.sentence.partition(",")[0] for one in faults}) > 8
    for said in (text for one in faults for text in (one.sentence, one.remedy)):
        assert not ENGLISH.search(re.sub("`[^`]*`", "", in_chinese(said) or said)), said


@pytest.mark.parametrize(
    ("override", "chinese"),
    [
        ("method.rank=many", "`method.rank` 不能是 `many`：应为整数。"),
        ("method.rank=0", "`method.rank` 不能是 `0`：应不小于 1。"),
        ("method=qlora", "没有 method `qlora`。"),
        ("data.cutof=3", "没有选项 `data.cutof`。"),
        ("model=x", "`model` 是一节，不是值 `x`。"),
    ],
)
def test_what_is_wrong_with_a_setting_is_said_in_chinese(override: str, chinese: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["model.path=x", override])
    assert ZH.said(caught.value.sentence) == chinese


def test_a_value_of_somebody_is_not_translated() -> None:
    assert in_chinese("`none` has the role `an object`: expected one of `a`, `text`") == (
        "`none` 的说话者是 `an object`：应为 `a`, `text` 之一"
    )
    assert in_chinese("message 2 of `an object` is empty") == "`an object` 的第 2 条消息是空的"


@pytest.mark.parametrize(
    ("error", "framed"),
    [
        (ModelError("The moon is full."), "模型或适配器有问题，原文如下："),
        (DataError("The moon is full."), "数据有问题，原文如下："),
        (UserError("The moon is full."), "无法完成，原文如下："),
        (ModelError("No model is chosen."), ""),
    ],
)
def test_a_sentence_that_is_not_known_says_what_it_is_about(error: UserError, framed: str) -> None:
    told = error.sentence, error.hint or "", type(error).__name__
    html = ZH.refusal(*told)
    assert (framed in html) if framed else "原文" not in html
    assert ("The moon" in html) == bool(framed)
    assert "原文" not in Words("en").refusal(*told)
    assert ("命令没有完成" in ZH.refusal(error.sentence)) == bool(framed)
