"""Whose log is read, and from where."""

from __future__ import annotations

import threading

import pytest

from clues.config import Ssh
from clues.errors import InvalidRequest, NotFound, Transient
from clues.model import Claim, ClaimState
from clues.vmlogs.reader import LogReader
from tests.unit.builders import make_claim, make_offer


class Site:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.hold: threading.Event | None = None

    def console(self, instance_id: str) -> str:
        self.asked.append(instance_id)
        if self.hold is not None:
            self.hold.wait(30)
        return f"\x1b[1mbooting {instance_id}\r\n"


SITE_LESS = make_claim("cpu-3", ClaimState.LAUNCHING)


def reader(*claims: Claim, site: Site | None = None, ssh: Ssh | None = None) -> LogReader:
    connectors = {"cesnet": site or Site()}
    return LogReader(lambda: {one.key: one for one in claims}, lambda: connectors, lambda: ssh)  # type: ignore[arg-type, return-value]


def test_the_console_of_a_nodes_vm_is_read_and_cleaned() -> None:
    site = Site()
    logs = reader(make_claim("cpu-1"), make_claim("cpu-2"), site=site)
    found = logs.read(logs.find("cpu-2"), ssh=False)
    assert (found.node, found.instance_id, found.source) == ("cpu-2", "i-cpu-2", "console")
    assert found.text == "booting i-cpu-2\n"
    assert site.asked == ["i-cpu-2"]


def test_of_two_vms_of_a_node_the_younger_is_meant() -> None:
    old = make_claim("cpu-1", ClaimState.STOPPING, generation=1, instance_id="i-old")
    young = make_claim("cpu-1", ClaimState.BOOTING, generation=2, instance_id="i-young")
    assert reader(young, old).find("cpu-1") == young


@pytest.mark.parametrize("claims", [(), (SITE_LESS,), (make_claim("cpu-1"),)])
def test_a_node_without_a_vm_is_told(claims: tuple[Claim, ...]) -> None:
    with pytest.raises(NotFound, match="cpu-3 has no VM"):
        reader(*claims).find("cpu-3")


def test_without_a_word_in_the_configuration_nothing_goes_out_by_ssh() -> None:
    with pytest.raises(InvalidRequest, match="ssh:"):
        reader().read(make_claim(), ssh=True)


def test_a_site_that_was_removed_is_told() -> None:
    with pytest.raises(NotFound, match="no longer in the configuration"):
        reader().read(make_claim(offer=make_offer("gone")), ssh=False)


def test_slow_providers_do_not_take_all_of_the_apis_threads() -> None:
    site = Site()
    site.hold = threading.Event()
    logs = reader(site=site)
    threads = [threading.Thread(target=logs.read, args=(make_claim(),), kwargs={"ssh": False}) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(site.asked) < 4:
        threading.Event().wait(0.01)
    with pytest.raises(Transient, match="try again"):
        logs.read(make_claim(), ssh=False)
    site.hold.set()
    for thread in threads:
        thread.join(5)
    logs.read(make_claim(), ssh=False)
