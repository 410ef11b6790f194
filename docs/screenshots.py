"""Write docs/images/web-*.png: the page at work, in both languages and on a phone.

It needs chromium and chromedriver, and trains the model that comes with tuneglm for two minutes;
with `python docs/screenshots.py FOLDER` in that folder, where what is trained already is kept.
"""

import base64
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.web.browsing import Browser, browser, served, until  # noqa: E402
from tuneglm.demo import MODEL_FOLDER  # noqa: E402

MODEL = "chatglm3-small"
WIDE, CHAT, TALL = (1200, 860), (1200, 930), (1200, 1100)
# seconds for what computes
PATIENCE = 900.0
# of the keyboard, as the driver has it
ESCAPE = "\ue00c"
IMAGES = ROOT / "docs" / "images"
LANGUAGES = {"en": "en-US", "zh": "zh-CN"}
QUESTIONS = {"en": ("Who are you?", "Who made you?"), "zh": ("你是谁？", "谁开发了你？")}
# of the report
TITLES = {"en": "Evaluation", "zh": "评测"}
ROWS = [
    {
        "instruction": "你是谁？",
        "input": "",
        "output": "我是星河，由北斗实验室开发。",
    },
    {"instruction": "Who made you?", "input": "", "output": "I am 星河, made by 北斗实验室."},
    {"instruction": "法国的首都是哪里？", "input": "", "output": "法国的首都是巴黎。"},
    {"instruction": "What is 3 + 4?", "input": "", "output": "3 + 4 = 7"},
    {"instruction": "", "input": "", "output": "An answer to nothing."},
]


def main() -> None:
    """Train once, and take the pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else Path(temporary)
        # beside the runs: what is shown names no folder of whoever takes the pictures
        if not (folder / "models").exists():
            shutil.copytree(MODEL_FOLDER, folder / "models" / MODEL)
        rows = folder / "rows.json"
        rows.write_text(json.dumps(ROWS, ensure_ascii=False), encoding="utf-8")
        with served(folder / "runs", "--models", str(folder / "models")) as server:
            if not (folder / "runs" / "run-1" / "adapter_model.safetensors").exists():
                with browser(server.port) as page:
                    train(page, rows)
            for language in LANGUAGES:
                with browser(server.port, LANGUAGES[language]) as page:
                    pictures(page, language)
                    page.resize(390, 800)
                    page.open()
                    page.tab("train")
                    page.says("#card", "run-1")
                    picture(page, f"phone-{language}", "#run")


def train(page: Browser, rows: Path) -> None:
    """A run of the example, and an uploaded file."""
    page.open()
    page.upload(rows)
    page.says("#data-said", "rows.json")
    page.open()
    page.tab("train")
    page.click("#example")
    page.fill("#train-model", MODEL, "\n")
    page.shown("#plan .fits")
    page.click("#start")
    page.says("#card", "running")
    until(lambda: "finished" in page.text("#card"), "the run does not end", PATIENCE)


def pictures(page: Browser, language: str) -> None:
    """Of the tabs, as somebody would leave them."""
    for taken in (looked_at, trained, talked_to, evaluated, exported):
        taken(page, language)


def looked_at(page: Browser, language: str) -> None:
    """Rows, checked and as the model sees them."""
    page.resize(*WIDE)
    page.open()
    page.fill("#data-chosen", "rows.json", "\n", ESCAPE)
    page.shown("#data-chosen .token")
    page.fill("#data-model", MODEL, "\n")
    page.click("#check")
    page.shown("#rows .histogram")
    page.driver.execute_script("document.querySelector('details').open = true")
    picture(page, f"check-{language}")
    page.click("#preview")
    page.shown("#rows .sample")
    picture(page, f"data-{language}")


def trained(page: Browser, language: str) -> None:
    """The form, filled in, beside the run that began with it."""
    page.resize(*TALL)
    page.open()
    page.tab("train")
    page.click("#example")
    page.says("#card", "run-1")
    page.shown("#plan .fits")
    picture(page, f"train-{language}")


def talked_to(page: Browser, language: str) -> None:
    """Two questions to the run and to its base."""
    page.resize(*CHAT)
    page.open()
    page.tab("train")
    page.click("#talk")
    page.click("#beside input")
    for count, question in enumerate(QUESTIONS[language], 1):
        page.fill("#question", question, "\n")
        # a moment passes until the page shows that an answer comes
        for _ in range(2):
            until(lambda count=count: answers(page) == count, "no answer", PATIENCE)
            time.sleep(3)
    picture(page, f"chat-{language}")


def evaluated(page: Browser, language: str) -> None:
    """The report of an evaluation, with the base beside it."""
    page.resize(*TALL)
    page.open()
    page.tab("evaluate")
    until(lambda: page.value("#evaluate-result") == "run-1", "the run is not listed")
    page.click("#evaluate-base input")
    page.click("button#evaluate")
    page.says("#evaluate-card .finished", f"--language {language}", patience=PATIENCE)
    page.says("#report", TITLES[language], patience=PATIENCE)
    picture(page, f"evaluate-{language}")


def exported(page: Browser, language: str) -> None:
    """An export, which was loaded again and compared."""
    page.tab("export")
    until(lambda: page.value("#export-name"), "no name is proposed")
    name = f"run-1-{language}"
    page.fill("#export-name", name)
    page.click("button#export")
    page.says("#exports", f"exports/{name}", patience=PATIENCE)
    until(lambda: page.text("#export-card .finished"), "the export does not end", PATIENCE)
    picture(page, f"export-{language}")


def answers(page: Browser) -> int:
    """How many the base has given; none while one comes: what asks again rests until then."""
    script = (
        "return document.querySelector('#tuned button:disabled') ? 0 : "
        "[...document.querySelectorAll('#base .bot.message')].filter(one => one.innerText).length"
    )
    return int(page.driver.execute_script(script))


def picture(page: Browser, name: str, at: str = "body") -> None:
    """What is to be seen now, from an element on."""
    page.driver.execute_script(f"document.querySelector('{at}').scrollIntoView()")
    time.sleep(1)
    taken = page.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    path = IMAGES / f"web-{name}.png"
    path.write_bytes(base64.b64decode(taken["data"]))
    print(f"Saved  {path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
