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
VISIBLE_LABELS = (
    "[...document.querySelectorAll('button.label-wrap')].filter(one => one.checkVisibility())"
)
TABS = ("data", "train", "chat", "evaluate", "export")


def until(happened: Callable[[], Any], what: str = "", patience: float = PATIENCE) -> Any:
    """Wait for something that is true, and hand it on."""
    end = time.monotonic() + patience
    while not (found := happened()):
        assert time.monotonic() < end, what
        time.sleep(0.1)
    return found


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@dataclass
class Server:
    """`tuneglm web FOLDER`, which can be killed and started again at its port."""

    folder: Path
    port: int
    options: Sequence[str] = ()
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """In the folder's own parent; until it answers."""
        words = ["web", str(self.folder), "--port", str(self.port), *self.options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tuneglm", *words],
            cwd=self.folder.parent,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.DEVNULL,
        )
        died = self.process.poll
        until(lambda: answers(self.port) or died() is not None, "the page does not answer")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@contextmanager
def served(folder: Path, *options: str) -> Iterator[Server]:
    """A page of that folder, until the block ends."""
    server = Server(folder, free_port(), options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


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

    def speak(self, language: str) -> None:
        """As a browser of that language that was never here."""
        self.driver.delete_all_cookies()
        self.driver.execute_cdp_cmd("Network.enable", {})
        headers = {"headers": {"Accept-Language": language}}
        self.driver.execute_cdp_cmd("Network.setExtraHTTPHeaders", headers)

    def upload(self, *files: Path) -> None:
        """Give files to the page."""
        self.shown("#upload")
        chooser = self.driver.find_element("css selector", "#upload input[type=file]")
        chooser.send_keys("\n".join(map(str, files)))

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
        tab = tabs[TABS.index(name)]
        self.driver.execute_script("arguments[0].click()", tab)
        until(lambda: tab.get_attribute("aria-selected") == "true", f"the tab {name}")

    def fill(self, selector: str, text: str, *keys: str) -> None:
        element = self.shown(f"{selector} input, {selector} textarea")
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.clear()
        element.send_keys(text, *keys)

    def value(self, selector: str) -> str:
        """Of a field."""
        return str(self.shown(f"{selector} input, {selector} textarea").get_attribute("value"))

    def open_all(self) -> None:
        """Every part of a form that is folded."""
        folded = f"{VISIBLE_LABELS}.filter(one => !one.classList.contains('open'))"
        self.driver.execute_script(f"{folded}.forEach(one => one.click())")
        until(lambda: self.driver.execute_script(f"return {folded}.length") == 0, "folded parts")

    def text(self, selector: str) -> str:
        script = f"return {VISIBLE}.map(one => one.innerText).join('\\n')"
        return str(self.driver.execute_script(script, selector))

    def says(self, selector: str, *words: str, patience: float = PATIENCE) -> str:
        """The text, once it has all the words."""
        return str(until(lambda: self._with(selector, words), f"{selector}: {words}", patience))

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
def browser(port: int, language: str = "en-US") -> Iterator[Browser]:
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
        page.resize(1280, 900)
        yield page
    finally:
        driver.quit()
