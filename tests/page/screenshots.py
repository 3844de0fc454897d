"""`./dev docs --images`: the pictures of the page in docs/images, made from the cluster that the examples show."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import Literal

from clues.model import Moment
from tests.page.browser import chromium, forwarded
from tests.unit.api.serving import serve
from tests.unit.builders import NOW, hybrid

FOLDER = Path(__file__).parents[2] / "docs" / "images"


def a_day() -> list[Moment]:
    """Return a day in which work comes and goes."""
    found = []
    for minute in range(24 * 60):
        wave = math.sin(minute / 240) + 1
        busy, starting = round(8 * wave), round(2 * max(0.0, math.cos(minute / 240)))
        nodes = (("cesnet", "cpu", "busy", busy), ("cesnet", "cpu", "idle", 2), ("aws", "gpu", "booting", starting))
        waiting = (("starting", starting * 3), ("blocked", round(4 * wave)))
        found.append(Moment(NOW - timedelta(minutes=24 * 60 - minute), nodes, waiting, busy * 2, 0.3 * busy))
    return found


def main() -> None:
    """Write the pictures, by day and by night."""
    FOLDER.mkdir(exist_ok=True)
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    with serve(hybrid()) as api, forwarded(api.path) as url, chromium() as browser:
        api.control.moments += a_day()
        for scheme in schemes:
            page = browser.new_page(viewport={"width": 1200, "height": 800}, color_scheme=scheme)
            page.goto(url)
            page.wait_for_selector(".tile")
            page.wait_for_selector(".chart path")
            page.screenshot(path=FOLDER / f"page-{scheme}.png")


if __name__ == "__main__":
    main()
