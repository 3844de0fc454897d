"""The page shows the cluster as it is and as it becomes, to eyes, keyboards and readers, with and without a script."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import expect

from clues.model import Moment, Published
from tests.page.conftest import Show
from tests.unit.builders import (
    BUSY,
    IDLE,
    NOW,
    ago,
    hybrid,
    make_claim,
    make_job,
    make_node,
    make_offer,
    make_pool,
    make_published,
    make_settings,
    make_site,
    make_world,
)

HOSTILE = "<img src=x onerror=alert(1)>"


def large(count: int = 1000, busy: bool = True) -> Published:
    """A cluster with that many nodes up."""
    pool = make_pool("cpu", count, offers=[make_offer()])
    settings = make_settings([pool], [make_site()])
    nodes = [make_node(name, flags=BUSY if busy else IDLE) for name in pool.nodes]
    claims = [make_claim(name) for name in pool.nodes]
    return make_published(settings, make_world(nodes, claims=claims, sites=settings.sites))


def test_every_node_is_where_it_belongs(show: Show) -> None:
    page = show(hybrid()).page
    assert page.locator(".tile").count() == 117
    cesnet = page.get_by_role("group", name="cesnet")
    assert cesnet.locator(".tile").count() == 5
    label = cesnet.locator(".tile.busy").first.get_attribute("aria-label") or ""
    assert re.fullmatch(r"\S+: busy at cesnet, jobs \S+ \(jobs run on it\)", label)


def test_the_queue_tells_what_each_job_waits_for(show: Show) -> None:
    page = show(hybrid()).page
    row = page.locator("#jobs tr", has_text="4242")
    expect(row).to_contain_text("alice")
    expect(row.locator("td").nth(2)).not_to_be_empty()


def test_a_change_is_shown_without_asking(show: Show) -> None:
    shown = show(large(20))
    assert shown.page.locator(".tile.busy").count() == 20
    shown.tick(large(20, busy=False))
    assert shown.page.locator(".tile.busy").count() == 0
    shown.tick(large(15, busy=False))
    assert shown.page.locator(".tile").count() == 15


def test_who_comes_back_after_a_break_sees_the_present(show: Show) -> None:
    shown = show(large(20))
    shown.page.context.set_offline(True)
    shown.page.evaluate("() => null")
    shown.api.control.tick(large(12))
    shown.page.context.set_offline(False)
    expect(shown.page.locator(".tile")).to_have_count(12, timeout=20_000)
    shown.mistakes.clear()  # the browser complains of the break


def test_a_node_tells_why_it_is_so(show: Show) -> None:
    page = show(hybrid()).page
    page.locator(".tile.busy").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("is in the cluster")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_a_keyboard_is_enough(show: Show) -> None:
    page = show(hybrid()).page
    page.get_by_role("group", name="cesnet").locator(".tile").first.focus()
    page.keyboard.press("ArrowRight")
    second = page.evaluate("() => document.activeElement.dataset.node")
    assert second == page.get_by_role("group", name="cesnet").locator(".tile").nth(1).get_attribute("data-node")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text(second)


def test_the_day_can_be_walked_back(show: Show) -> None:
    shown = show(hybrid())
    for number in range(10):
        nodes = (("upv", "cpu", "busy", number),) if number else ()
        shown.api.control.moments.append(Moment(ago(minutes=10 - number), nodes, (("blocked", 2),), 1, 0.5))
    shown.page.reload()
    expect(shown.page.locator("#then")).to_contain_text("9 nodes (upv 9), 2 jobs wait")
    shown.page.locator("#scrub").focus()
    shown.page.keyboard.press("Home")
    expect(shown.page.locator("#then")).to_contain_text("0 nodes, 2 jobs wait")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(show: Show, scheme: Literal["light", "dark"]) -> None:
    shown = show(hybrid(), scheme=scheme)
    shown.api.control.moments.append(Moment(NOW, (("upv", "cpu", "busy", 3),)))
    shown.page.reload()
    shown.page.wait_for_selector("html[data-tick]")
    found = Axe().run(shown.page)
    assert found.violations_count == 0, found.generate_report()


def test_it_reads_without_a_script(show: Show) -> None:
    page = show(hybrid(), script=False).page
    expect(page.locator("#plain tbody tr").first).to_be_visible()
    expect(page.locator("#jobs")).to_contain_text("4242")


def test_what_strangers_write_stays_text(show: Show) -> None:
    hostile = replace(
        make_published(
            world=make_world([make_node("cpu-1")], [make_job(HOSTILE, user=HOSTILE, reason="Resources")]),
        ),
        troubles=(HOSTILE,),
    )
    for script in (True, False):
        page = show(hostile, script=script).page
        assert page.locator("img").count() == 0
        expect(page.locator("#jobs")).to_contain_text(HOSTILE)


def test_a_thousand_nodes_change_without_a_stutter(show: Show) -> None:
    shown = show(large())
    assert shown.page.locator(".tile").count() == 1000
    # how long the page itself works on a change of every node, whatever else this machine does
    shown.page.evaluate(
        """() => { window.longest = 0; new PerformanceObserver((list) => {
            for (const one of list.getEntries()) window.longest = Math.max(window.longest, one.duration);
        }).observe({ entryTypes: ["longtask"] }); }"""
    )
    for turn in range(4):
        shown.tick(large(busy=bool(turn % 2)))
    assert shown.page.evaluate("() => window.longest") < 1000
