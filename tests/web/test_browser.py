"""The whole job in a real browser: upload, check, train, reload, talk, export."""

import json
from pathlib import Path

import pytest

from tests.conftest import Configure
from tests.web.browsing import CHROMIUM, DRIVER, TABS, Browser, browser, free_port, served, until
from tuneglm import train
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


def test_the_whole_job_in_english(tmp_path: Path) -> None:
    folder, port, rows = tmp_path / "work", free_port(), tmp_path / "rows.json"
    rows.write_text(json.dumps([*ROWS, FAULTY], ensure_ascii=False), encoding="utf-8")
    with served(folder, port) as server, browser(port, "en-US") as page:
        page.open()
        assert page.driver.current_url.endswith("/en/")
        page.shown("#upload")
        page.driver.find_element("css selector", "#upload input[type=file]").send_keys(str(rows))
        page.says("#data-said", "Saved as rows.json")
        page.click("#check")
        assert "cannot be used" in page.says("#rows", "13", "empty_question", "tokens a row")
        page.click("#preview")
        page.says("#rows .trained", "我是星河，由北斗实验室开发。")
        assert "你是谁" not in page.text("#rows .trained")

        page.tab("train")
        page.open_all()
        page.fill("#training-max_steps", "150")
        page.fill("#training-learning_rate", "0.003")
        page.fill("#training-per_device_train_batch_size", "4")
        page.fill("#lora-method-targets", "all")
        page.fill("#further", "data.bad_rows=skip\nmemory_check=off\ntraining.bf16=false")
        page.fill("#run-name", "星河")
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
        server.wait()
        with served(folder, port):
            page.open()
            page.tab("train")
            page.says("#card", "finished", "150 / 150")
            # of a run that was quick the second look saw all of it
            whole = len(curve_of(Run(folder / "星河").log(), "loss"))
            assert until(lambda: page.points() >= whole) and whole >= second
            talks_and_exports(folder, page)
        assert page.foreign() == []


def talks_and_exports(folder: Path, page: Browser) -> None:
    page.click("#talk")
    page.fill("#question", "谁开发了你？", "\n")
    page.says("#tuned .bot", "星河")
    page.click("#beside input")
    page.fill("#question", "你是谁？", "\n")
    # the base answers from where it came in
    page.says("#base .user", "你是谁？")
    assert "谁开发了你" not in page.text("#base .user")
    assert "星河" not in page.says("#base .bot", "小调")

    page.tab("export")
    page.click("button#export")
    page.says("#exports", "星河-whole")
    until((folder / "exports" / "星河-whole" / "config.json").is_file)


def test_in_chinese_and_on_a_phone(tmp_path: Path, configure: Configure) -> None:
    """A run that a terminal began is here too."""
    folder, port = tmp_path / "work", free_port()
    train(configure(folder / "从前的"))
    with served(folder, port), browser(port, "zh-CN", 390, 844) as page:
        page.open()
        assert page.driver.current_url.endswith("/zh/")
        assert page.driver.execute_script("return document.documentElement.lang") == "zh-CN"
        page.click("#check")
        page.says("#data-said", "还没有选择数据。")
        for tab in TABS:
            page.tab(tab)
            page.open_all()
            assert page.overflow() <= 0, tab
        page.tab("train")
        page.says("#card", "从前的", "已完成", "不是从本页启动的")
        assert page.points() == 6
        page.fill("#run-name", "../出去")
        page.says("#wrong", "不能作为名字")
        page.tab("chat")
        page.fill("#question", "你是谁？", "\n")
        until(lambda: page.text("#tuned .bot"))
        page.tab("evaluate")
        page.says("#report", "报告会显示在这里")
        # the other language is a click away, and is kept
        page.driver.find_element("link text", "English").click()
        page.says("button[role=tab]", "Chat")
        page.open("/")
        assert page.driver.current_url.endswith("/en/")
        assert page.foreign() == []
