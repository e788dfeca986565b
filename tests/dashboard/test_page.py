"""The page in a real Chromium: what a person sees equals what SQL says, and follows commits."""

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import browser as chrome
from etl.harness import change
from pipelines import World
from processes import PATIENCE_SECONDS, start, tradelake
from tradelake.dashboard.visuals import TITLE, VISUALS, Kind
from tradelake.home import Home
from tradelake.query import Engine
from tradelake.query.lake import LakeCatalog

pytestmark = pytest.mark.skipif(chrome.executable() is None, reason=chrome.INSTALL)

PATIENCE_MS = PATIENCE_SECONDS * 1000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chrome.chromium() as opened:
        yield opened


class Viewer:
    """A page opened on a home, and all that went wrong on it."""

    def __init__(self, browser: Any, address: str) -> None:
        self.page = browser.new_page(viewport={"width": 1440, "height": 900})
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.page.on("console", lambda said: self._hear(said.type, said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url, address))
        self.page.goto(address)

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def _asked(self, url: str, address: str) -> None:
        if not url.startswith((f"{address}/", "data:", "blob:")):
            self.complaints.append(f"a request to another place: {url}")

    def shows(self, selector: str, texts: list[str]) -> None:
        """Waits until the texts of all such elements are these."""
        self.comes_to(lambda: self.texts(selector), texts)

    def comes_to(self, look: Callable[[], object], expected: object) -> None:
        """Looks until it is as expected; the page lives on meanwhile."""
        until = time.monotonic() + PATIENCE_SECONDS
        while (found := look()) != expected and time.monotonic() < until:
            self.page.wait_for_timeout(50)
        assert found == expected

    def see(self, selector: str, text: str) -> None:
        """Waits until an element with this text is there to be seen."""
        self.page.locator(selector).get_by_text(text, exact=True).first.wait_for()

    def texts(self, selector: str) -> list[str]:
        """The texts of all such elements, in their order."""
        found: list[str] = self.page.locator(selector).all_text_contents()
        return found


@contextlib.contextmanager
def served(home: Path) -> Iterator[tuple[str, Any]]:
    """A dashboard of its own, ended cleanly: its address and its process."""
    process = start("dashboard", "--port", 0, settings={"home": home})
    try:
        assert process.stderr is not None
        said = re.match(r"the page is at (\S+);", process.stderr.readline())
        assert said
        yield said[1], process
        process.terminate()
        _, err = process.communicate(timeout=5)
        assert (process.returncode, err) in ((0, ""), (-9, ""))
    finally:
        process.kill()


@contextlib.contextmanager
def looking(browser: Any, home: Path) -> Iterator[Viewer]:
    """A viewer of a home's page, who has nothing to complain about in the end."""
    with served(home) as (address, _):
        viewer = Viewer(browser, address)
        yield viewer
        assert viewer.complaints == []
        viewer.page.close()


def trade(home: Path, seed: int) -> None:
    """A few hundred more trades in the lake."""
    tradelake("simulate", "--trades", 300, "--seed", seed, home=home)
    tradelake("run", "--once", home=home)


def answers(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What SQL says, by the visual's title."""
    with Engine(LakeCatalog(Home(home).storage)) as engine:
        return {
            visual.title: [
                tuple(row.values()) for row in engine.execute(visual.sql).table().to_pylist()
            ]
            for visual in VISUALS
        }


def money(number: Decimal) -> str:
    return f"{number:,.2f}"


def assert_shows(viewer: Viewer, said: dict[str, list[tuple[Any, ...]]]) -> None:
    """Each visual's numbers become SQL's."""
    ((fees,),) = said["Trade Fee Collected"]
    viewer.shows("#visual0", [money(fees)])
    viewer.shows("#exact0", [f"exactly {fees:,f}"])
    for place, visual in enumerate(VISUALS[1:], start=1):
        card, expected = f"#visual{place}", said[visual.title]
        if visual.kind is Kind.TABLE:
            viewer.comes_to(
                lambda card=card: sorted(
                    zip(
                        *(viewer.texts(f"{card} .ag-cell[col-id={c}]") for c in COLUMNS),
                        strict=False,
                    )
                ),
                sorted((exchange, money(volume), money(fee)) for exchange, volume, fee in expected),
            )
        elif visual.kind is Kind.BAR:
            digits = 2 if isinstance(expected[0][1], Decimal) else 0
            viewer.shows(f"{card} .ytick text", [label for label, _ in expected])
            viewer.shows(f"{card} .bartext", [f"{n:,.{digits}f}" for _, n in expected])
        else:
            viewer.shows(f"{card} text.slicetext", [f"{label}{n:,}" for label, n in expected])


COLUMNS = ("dimension", "value0", "value1")


def test_each_visual_shows_sqls_numbers_and_follows_a_commit_without_jumping(
    browser: Any, tmp_path: Path
) -> None:
    trade(tmp_path, seed=1)
    with looking(browser, tmp_path) as viewer:
        assert viewer.page.title() == TITLE
        assert viewer.texts("h1") == [TITLE]
        assert viewer.texts(".card h2") == [visual.title for visual in VISUALS]
        before = answers(tmp_path)
        assert_shows(viewer, before)

        viewer.page.get_by_role("columnheader", name="Exchange").click()  # sort by name
        viewer.page.set_viewport_size({"width": 600, "height": 500})
        viewer.page.evaluate("() => window.scrollTo(0, 300)")
        viewer.page.evaluate("() => { document.querySelector('#visual2 .main-svg').mine = true }")

        trade(tmp_path, seed=2)
        after = answers(tmp_path)
        assert after != before
        assert_shows(viewer, after)
        assert viewer.page.evaluate("() => window.scrollY") == 300
        assert viewer.page.evaluate("() => document.querySelector('#visual2 .main-svg').mine")
        header = viewer.page.get_by_role("columnheader", name="Exchange")
        assert header.get_attribute("aria-sort") == "ascending"


def test_it_follows_the_systems_theme(browser: Any, tmp_path: Path) -> None:
    trade(tmp_path, seed=1)
    with looking(browser, tmp_path) as viewer:
        assert_shows(viewer, answers(tmp_path))
        for scheme in ("light", "dark"):
            viewer.page.emulate_media(color_scheme=scheme)
            for ground in ("body", ".card", ".ag-root-wrapper"):
                dark = brightness(viewer, ground, "backgroundColor") < 100
                assert dark is (scheme == "dark"), ground
            for text in ("h1", "#visual0", ".ag-cell"):
                assert (brightness(viewer, text, "color") > 150) is (scheme == "dark"), text
            for mark in ("text.slicetext", ".bartext", ".ytick text"):
                assert (brightness(viewer, mark, "fill") > 150) is (scheme == "dark"), mark


def brightness(viewer: Viewer, selector: str, name: str) -> float:
    colour = viewer.page.locator(selector).first.evaluate(f"e => getComputedStyle(e).{name}")
    red, green, blue = map(float, re.findall(r"[0-9.]+", colour)[:3])
    return (red + green + blue) / 3


def test_an_empty_home_says_what_to_do_and_fills_by_itself(browser: Any, tmp_path: Path) -> None:
    with looking(browser, tmp_path) as viewer:
        viewer.see("#age", "Waiting for the first commit")
        viewer.see(".help code", "tradelake demo")
        assert not viewer.page.locator("main").is_visible()
        trade(tmp_path, seed=1)
        assert_shows(viewer, answers(tmp_path))
        assert viewer.page.locator("main").is_visible()
        assert not viewer.page.locator(".help").is_visible()
        viewer.page.locator("#age.live, #age.stale").wait_for()


def test_text_of_the_lake_is_shown_as_it_is(browser: Any, tmp_path: Path) -> None:
    evil = "<b>A</b>&lt;<img src=//x.y/>"
    record = change("k1", "e1", trading_pair=evil, exchange="Kraken")
    (tmp_path / "records").write_text(json.dumps(record))
    home = tmp_path / "home"
    tradelake("changes", "import", tmp_path / "records", home=home)
    tradelake("run", "--once", home=home)
    with looking(browser, home) as viewer:
        assert_shows(viewer, answers(home) | {"Trading Volume per Trading Pair": shortened(home)})
        assert viewer.page.locator("img[src*='x.y']").count() == 0


def shortened(home: Path) -> list[tuple[Any, ...]]:
    rows = answers(home)["Trading Volume per Trading Pair"]
    return [(label if len(label) <= 24 else label[:23] + "…", number) for label, number in rows]


def test_old_values_and_a_server_that_is_gone_are_told(browser: Any, tmp_path: Path) -> None:
    world = World(Home(tmp_path))  # its clock stands in the past
    world.write()
    world.drain()
    world.close()
    with served(tmp_path) as (address, process):
        viewer = Viewer(browser, address)
        viewer.page.locator("#age.stale").wait_for()
        (age,) = viewer.texts("#age")
        assert re.fullmatch(r"Commit of .* UTC, .* ago\. Nothing new since: .*\?", age)
        assert_shows(viewer, answers(tmp_path))
        process.kill()
        viewer.page.locator("#age.silent").wait_for()
        assert viewer.texts("#age")[0].startswith("No answer from tradelake for ")
        assert_shows(viewer, answers(tmp_path))  # the last values stay
        viewer.page.close()
