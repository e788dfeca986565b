"""`make screenshot`: the page of a demo that has run for a while, as the picture in the docs."""

import re
import signal
import sys
import tempfile
from pathlib import Path

from browser import INSTALL, chromium, executable
from processes import start

SECONDS = 20


def main(picture: Path) -> None:
    """Writes the picture."""
    if executable() is None:
        sys.exit(INSTALL)
    with tempfile.TemporaryDirectory() as home, chromium() as browser:
        demo = start("demo", "--port", 0, settings={"home": home}, log=Path(home) / "log")
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 780})
            page.wait_for_timeout(SECONDS * 1000)
            said = re.search(r"http://[0-9.:]+", (Path(home) / "log").read_text())
            assert said
            page.goto(said[0])
            page.locator("text.slicetext").nth(6).wait_for()
            page.locator("#age.live").wait_for()
            page.screenshot(path=picture)
        finally:
            demo.send_signal(signal.SIGTERM)
            demo.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
