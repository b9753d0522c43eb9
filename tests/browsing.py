"""A page as a reader meets it: opened in headless Chromium, without a network.

The browser is Debian's package ``chromium``, or what the variable ``QNEWTON_CHROMIUM`` names. Where
there is none, tests that ask for it are skipped and say so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NO_CHROMIUM = (
    "no Chromium: install Debian's package chromium, or name the program in QNEWTON_CHROMIUM"
)
PHONE, DESK = (390, 844), (1280, 900)

# Nothing of the browser's own may ask a network; root may not use its sandbox.
_QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)
_CALM = "*, *::before, *::after { transition: none !important; animation: none !important; }"


def chromium_program() -> str | None:
    """Return the browser's program, or ``None`` where there is none."""
    return os.environ.get("QNEWTON_CHROMIUM") or shutil.which("chromium")


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Start the browser once, and skip the test where there is none."""
    program = chromium_program()
    if program is None:
        pytest.skip(NO_CHROMIUM)
    playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    with playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(_QUIET))
        yield browser
        browser.close()


class Reader:
    """Opens pages in one browser, and holds what went wrong in them.

    Attributes:
        faults: Console errors, exceptions of scripts, and requests that left the machine.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.faults: list[str] = []

    def open(
        self, address: Path | str, size: tuple[int, int] = DESK, *, dark: bool = False
    ) -> Page:
        """Open a file, or an address on this machine, and wait until it is loaded."""
        page = self._browser.new_page(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: self.faults.append(f"exception: {error}"))
        page.on("console", lambda said: self._hear(said.type, said.text))
        page.on("request", lambda request: self._check(request.url))
        page.goto(address.as_uri() if isinstance(address, Path) else address, wait_until="load")
        page.add_style_tag(content=_CALM)
        return page

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.faults.append(f"{kind}: {text}")

    def _check(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:")):
            self.faults.append(f"request of {url}")


def violations(page: Page) -> list[str]:
    """Return what axe finds against the rules of accessibility, one line per rule and element."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]


def sideways(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def wait_for_frame(page: Page) -> None:
    """Wait until a page has drawn what its controls were moved to."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
