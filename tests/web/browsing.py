"""A page in a real browser, and a server of its own in a process."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or "/usr/bin/chromium"
DRIVER = shutil.which("chromedriver") or "/usr/bin/chromedriver"
PATIENCE = 120.0
# in one step: the page may change between two
VISIBLE = "[...document.querySelectorAll(arguments[0])].filter(one => one.checkVisibility())"
TABS = ("data", "train", "chat", "evaluate", "export")


def until(happened: Callable[[], Any], what: str = "", patience: float = PATIENCE) -> Any:
    """Wait for something that is true, and hand it on."""
    end = time.monotonic() + patience
    while not (found := happened()):
        assert time.monotonic() < end, what
        time.sleep(0.2)
    return found


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@contextmanager
def served(folder: Path, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`tuneglm web FOLDER`, until the block ends."""
    words = ["web", str(folder), "--port", str(port), *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "tuneglm", *words],
        cwd=folder.parent,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.DEVNULL,
    )
    try:
        until(lambda: answers(port) or process.poll() is not None, "the page does not answer")
        yield process
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/manifest.json", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


@dataclass(frozen=True)
class Browser:
    """What somebody does with a page."""

    driver: Any
    address: str

    def open(self, path: str = "/") -> None:
        self.driver.get(self.address + path)
        self.shown("button[role=tab]")

    def resize(self, width: int, height: int) -> None:
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)

    def shown(self, selector: str) -> Any:
        """The element, once it is there to be seen."""

        script = f"return {VISIBLE}[0]"
        return until(lambda: self.driver.execute_script(script, selector), selector)

    def click(self, selector: str) -> None:
        element = self.shown(selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        self.driver.execute_script("arguments[0].click()", element)

    def tab(self, name: str) -> None:
        tabs = self.driver.find_elements("css selector", "button[role=tab]")
        self.driver.execute_script("arguments[0].click()", tabs[TABS.index(name)])
        time.sleep(0.5)

    def fill(self, selector: str, text: str, *keys: str) -> None:
        element = self.shown(f"{selector} input, {selector} textarea")
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.clear()
        element.send_keys(text, *keys)

    def open_all(self) -> None:
        """Every part of a form that is folded."""
        for label in self.driver.find_elements("css selector", "button.label-wrap:not(.open)"):
            self.driver.execute_script("arguments[0].click()", label)
        time.sleep(0.5)

    def text(self, selector: str) -> str:
        script = f"return {VISIBLE}.map(one => one.innerText).join('\\n')"
        return str(self.driver.execute_script(script, selector))

    def says(self, selector: str, *words: str) -> str:
        """The text, once it has all the words."""
        return str(until(lambda: self._with(selector, words), f"{selector}: {words}"))

    def _with(self, selector: str, words: Sequence[str]) -> str:
        text = self.text(selector)
        return text if all(word in text for word in words) else ""

    def points(self) -> int:
        """Of the curve that is drawn."""
        script = "return +(document.querySelector('#curve .curve')?.dataset.points ?? 0)"
        return int(self.driver.execute_script(script))

    def foreign(self) -> list[str]:
        """Addresses elsewhere that the page asked for something."""
        script = (
            "return performance.getEntriesByType('resource').map(one => one.name)"
            ".filter(name => name.startsWith('http') && !name.startsWith(location.origin))"
        )
        return [*self.driver.execute_script(script)]

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(
            self.driver.execute_script("return document.documentElement.scrollWidth - innerWidth")
        )


@contextmanager
def browser(port: int, language: str, width: int = 1280, height: int = 900) -> Iterator[Browser]:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = CHROMIUM
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(word)
    options.add_argument(f"--accept-lang={language}")
    options.add_experimental_option("prefs", {"intl.accept_languages": language})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        page = Browser(driver, f"http://127.0.0.1:{port}")
        page.resize(width, height)
        yield page
    finally:
        driver.quit()
