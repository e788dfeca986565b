"""A real headless Chromium, for the tests of the page and for its picture in the docs."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
INSTALL = "Chromium is not installed; `apt-get install chromium` (or put one on PATH)"

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def executable() -> str | None:
    """Where Chromium is, None where it isn't."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser of its own, closed in the end."""
    with sync_playwright() as playwright:
        options: dict[str, Any] = {"executable_path": executable(), "args": list(FLAGS)}
        browser = playwright.chromium.launch(**options)
        try:
            yield browser
        finally:
            browser.close()
