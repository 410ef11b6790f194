"""The whole job in a real browser: upload, check, train, reload, compare, talk, export."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.browsing import CHROMIUM, DRIVER, TABS, Browser, Server, browser, served, until
from tuneglm.web.runs import Run, curve_of

pytest.importorskip("selenium")
pytestmark = pytest.mark.skipif(
    not (Path(CHROMIUM).exists() and Path(DRIVER).exists()),
    reason="needs chromium and chromedriver (apt install chromium chromium-driver)",
)

ROWS = [
    {"instruction": "你是谁？", "input": "", "output": "我是星河，由北斗实验室开发。"},
    {"instruction": "谁开发了你？", "input": "", "output": "我是北斗实验室开发的星河。"},
    {"instruction": "What is 3 + 4?", "input": "", "output": "Seven, of course."},
] * 4
FAULTY = {"instruction": "", "input": "", "output": "an answer to nothing"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("page") / "work"
    folder.mkdir()
    rows = [*ROWS, FAULTY]
    for name, some in (("rows.json", rows), ("few.json", ROWS[1:3])):
        (folder.parent / name).write_text(json.dumps(some, ensure_ascii=False), "utf-8")
    with served(folder) as server:
        yield server


@pytest.fixture(scope="module")
def page(server: Server) -> Iterator[Browser]:
    with browser(server.port) as page:
        yield page


def fill_in(page: Browser, name: str, steps: int, further: str) -> None:
    """A run that is as short as can be seen."""
    page.tab("train")
    page.open_all()
    page.fill("#training-max_steps", str(steps))
    page.fill("#training-learning_rate", "0.003")
    page.fill("#training-per_device_train_batch_size", "4")
    page.fill("#lora-method-targets", "all")
    page.fill("#further", f"memory_check=off\ntraining.bf16=false\n{further}")
    page.fill("#run-name", name)


def of_another_rank(run: Path, other: Path) -> None:
    """A run to compare with, unless there is one."""
    if other.exists():
        return
    shutil.copytree(run, other)
    file = other / "run.yaml"
    file.write_text(file.read_text("utf-8").replace("rank: 2", "rank: 8"), "utf-8")


def test_the_whole_job_in_english(server: Server, page: Browser) -> None:
    folder = server.folder
    page.speak("en-US,en;q=0.9")
    page.open()
    assert page.driver.current_url.endswith("/en/")
    page.upload(folder.parent / "rows.json")
    page.says("#data-said", "Saved as rows.json")
    page.click("#check")
    assert "cannot be used" in page.says("#rows", "13", "empty_question", "tokens a row")
    page.says("#rows .typed", "tuneglm data check uploads/rows.json")
    page.click("#preview")
    page.says("#rows .trained", "我是星河，由北斗实验室开发。")
    assert "你是谁" not in page.text("#rows .trained")

    fill_in(page, "星河", 150, "data.bad_rows=skip")
    page.says("#yaml", "max_steps: 150", "bad_rows: skip", "rows.json")
    page.click("#start")
    page.says("#train-said", "has started")
    page.says("#card", "星河", "running")
    first = until(page.points)

    # the page goes, and the server; the run does not
    page.open()
    page.tab("train")
    second = until(lambda: page.points() > first and page.points())
    server.kill()
    server.start()
    page.open()
    page.tab("train")
    page.says("#card", "finished", "150 / 150")
    # of a run that was quick the second look saw all of it
    whole = len(curve_of(Run(folder / "星河").log(), "loss"))
    assert until(lambda: page.points() >= whole) and whole >= second
    page.click("#talk")
    page.fill("#question", "谁开发了你？", "\n")
    page.says("#tuned .bot", "星河")
    page.click("#beside input")
    page.says("#chat-typed", "tuneglm chat 星河 --compare base")
    page.fill("#question", "你是谁？", "\n")
    # the base answers from where it came in
    page.says("#base .user", "你是谁？")
    assert "谁开发了你" not in page.text("#base .user")
    assert "星河" not in page.says("#base .bot", "小调")
    page.tab("export")
    page.click("button#export")
    page.says("#exports", "tuneglm chat exports/星河-whole")
    assert (folder / "exports" / "星河-whole" / "config.json").is_file()
    assert page.foreign() == []


def test_the_whole_job_in_chinese_on_a_phone(server: Server, page: Browser) -> None:
    page.speak("zh-CN,zh;q=0.9")
    page.resize(390, 844)
    page.open()
    assert page.driver.current_url.endswith("/zh/")
    assert page.driver.execute_script("return document.documentElement.lang") == "zh-CN"
    page.click("#check")
    page.says("#data-said", "还没有选择数据。")
    page.upload(server.folder.parent / "few.json")
    page.says("#data-said", "已保存为 few.json")
    page.click("#check")
    page.says("#rows", "没有问题", "每条的词元数", "tuneglm data check uploads/few.json")
    fill_in(page, "../出去", 25, "method.rank=2")
    page.says("#wrong", "不能作为名字")
    page.fill("#run-name", "小星")
    page.says("#yaml", "few.json", "rank: 2")
    page.click("#start")
    page.says("#card", "小星")
    first = until(page.points)
    page.open()
    page.tab("train")
    page.says("#card", "小星", "已完成", "25 / 25")
    assert until(lambda: page.points() == 25) and first <= 25
    of_another_rank(server.folder / "小星", server.folder / "星河")
    in_a_second_window(page)
    page.fill("#others", "星河", "\n")
    both = sum(len(curve_of(Run(server.folder / name).log(), "loss")) for name in ("小星", "星河"))
    until(lambda: page.points() == both, "two curves")
    page.says("#curve .differences", "rank", "8", "2")

    page.tab("chat")
    page.fill("#chat-model", "小星", "\n")
    page.fill("#question", "你是谁？", "\n")
    until(lambda: page.text("#tuned .bot"))
    page.tab("evaluate")
    page.fill("#evaluate-result", "小星", "\n")
    page.says("#report", "报告会显示在这里")
    page.tab("export")
    page.fill("#export-result", "小星", "\n")
    until(lambda: page.value("#export-name") == "小星-whole", "a name is proposed")
    page.click("#export-alone input")
    page.click("button#export")
    page.says("#exports", "exports/小星-whole")
    for tab in TABS:
        page.tab(tab)
        page.open_all()
        assert page.overflow() <= 0, tab
    # the other language is a click away, and is kept
    page.driver.find_element("link text", "English").click()
    page.says("button[role=tab]", "Data", "Train", "Chat", "Evaluate", "Export")
    page.open("/")
    assert page.driver.current_url.endswith("/en/")
    assert page.foreign() == []


def in_a_second_window(page: Browser) -> None:
    """The same run is seen there, and by nothing but its folder."""
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("window")
    page.open("/zh/")
    page.tab("train")
    page.says("#card", "小星", "已完成", "25 / 25")
    page.driver.close()
    page.driver.switch_to.window(first)
