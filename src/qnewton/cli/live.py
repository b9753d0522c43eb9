"""``--live``: the page of a run while it trains, served to this machine alone."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from qnewton.cli.output import note, warn
from qnewton.runs import RunStorageError

if TYPE_CHECKING:
    # Only named here, so that no torch is loaded before it is needed.
    from qnewton.experiments.compare import CompareEvent
    from qnewton.training.loop import Progress

SECONDS_BETWEEN_PAGES = 3.0
"""A page is written so often at most, and never for more than a twentieth of the time."""

_SHARE = 20
_LAST_LOOK = 6.0
_BEGINNING = b"""<!DOCTYPE html><html lang="en"><title>qnewton</title><p>The training begins.</p>
<script>setTimeout(() => location.reload(), 2000);</script></html>"""


class LivePage:
    """The page of a run that goes on.

    Training waits while a page is written, between two steps, so that no clock counts it.

    Args:
        folder: The run's folder.

    Attributes:
        address: Where the page is served.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._next = time.monotonic()
        self._looked: float | None = None
        self._last = threading.Event()
        self._finished = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def tell(self, label: str, step: int, steps: int | None) -> None:
        """Write the page after a step, unless it was written a moment ago."""
        begun = time.monotonic()
        if begun < self._next:
            return
        of = "" if steps is None else f" of {steps:,}"
        self._write(f"{label}, step {step:,}{of}")
        ended = time.monotonic()
        self._next = max(self._next, ended + max(SECONDS_BETWEEN_PAGES, _SHARE * (ended - begun)))

    def close(self) -> None:
        """Write the page as it stays, show it to whoever looks, and stop serving."""
        if (self._folder / "config.json").exists():
            self._write(None)
        self._finished = True
        looking = self._looked is not None and time.monotonic() - self._looked < 2 * _LAST_LOOK
        if looking:
            self._last.wait(_LAST_LOOK)
        self._server.shutdown()
        self._server.server_close()

    def _write(self, live: str | None) -> None:
        from qnewton.report import write_report  # loaded late: charts take a second

        try:
            write_report(self._folder, live=live)
        except RunStorageError as error:  # training is worth more than its page
            warn(f"the page is no longer live: {error}")
            self._next = math.inf

    def look(self) -> bytes:
        """Return the page for somebody who looks."""
        finished, file = self._finished, self._folder / "report.html"
        body = file.read_bytes() if file.is_file() else _BEGINNING
        self._looked = time.monotonic()
        if finished:
            self._last.set()
        return body


def _handler_of(page: LivePage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_GET(self) -> None:
            body = page.look()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the terminal shows progress."""

    return Handler


@contextmanager
def live_page(folder: Path, *, wanted: bool) -> Iterator[LivePage | None]:
    """Serve the page of a run while it goes on, where that is wanted."""
    if not wanted:
        yield None
        return
    from qnewton.report.vega import check_installed

    check_installed()
    page = LivePage(folder)
    note(f"the page is live at {page.address} until the run ends, and then in {folder}")
    try:
        yield page
    finally:
        page.close()


def told_too(
    page: LivePage | None, on_step: Callable[[Progress], None], steps: int | None
) -> Callable[[Progress], None]:
    """Return what tells a live page of every step, too; without a page, ``on_step`` itself."""
    if page is None:
        return on_step

    def both(progress: Progress) -> None:
        on_step(progress)
        page.tell("training", progress.record.step + 1, steps)

    return both


def event_told_too(
    page: LivePage | None, on_event: Callable[[CompareEvent], None]
) -> Callable[[CompareEvent], None]:
    """Return what tells a live page of the steps of a comparison, too."""
    if page is None:
        return on_event

    def both(event: CompareEvent) -> None:
        on_event(event)
        if event.progress is not None:
            page.tell(f"training {event.label}", event.progress.record.step + 1, event.steps)

    return both
