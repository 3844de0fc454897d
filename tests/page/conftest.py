"""One browser for all tests of the page; each has a page of its own, in front of the real API with a picture in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from clues.model import Published
from tests.page.browser import chromium, forwarded
from tests.unit.api.serving import Api, serve


@dataclass(frozen=True)
class Shown:
    """A page that shows a cluster, and what went wrong in it."""

    api: Api
    page: Page
    mistakes: list[str]

    def tick(self, published: Published) -> None:
        """Have the daemon publish another picture, and wait until the page has taken it."""
        self.api.control.tick(published)
        ticks = self.api.control.published()
        assert ticks is not None
        self.page.wait_for_selector(f'html[data-tick="{ticks.ticks}"]')


#: What a browser's console says in one of these is a mistake of the page's.
_COMPLAINTS = frozenset({"error", "warning"})

Show = Callable[..., Shown]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def show(browser: Browser) -> Iterator[Show]:
    """Show a picture; whatever the browser complains of fails the test."""
    with ExitStack() as stack:
        opened: list[Shown] = []

        def shown(published: Published, *, scheme: Literal["light", "dark"] = "light", script: bool = True) -> Shown:
            api = stack.enter_context(serve(published))
            url = stack.enter_context(forwarded(api.path))
            context = browser.new_context(
                color_scheme=scheme, java_script_enabled=script, viewport={"width": 1280, "height": 1000}
            )
            stack.callback(context.close)
            page = context.new_page()
            one = Shown(api, page, [])
            page.on("console", lambda said: one.mistakes.append(said.text) if said.type in _COMPLAINTS else None)
            page.on("pageerror", lambda error: one.mistakes.append(str(error)))
            page.goto(url)
            if script:
                page.wait_for_selector("html[data-tick]")
            opened.append(one)
            return one

        yield shown
        for one in opened:
            assert one.mistakes == []
