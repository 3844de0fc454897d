"""Server groups: one for each gang, none left behind, and no reason not to run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from clues.testing.connector_contract import OURS, launch, listed
from tests.lab.openstack_fake.state import ServerGroup, new_id
from tests.lab.openstack_fake.under_test import OpenStackSite


def test_a_gang_has_one_group_however_many_threads_launch_it(site: OpenStackSite) -> None:
    connector = site.build(OURS, server_group="soft-anti-affinity")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: launch(connector, replace(site.request(OURS, number), gang="job-1")), range(4)))
    launch(connector, replace(site.request(OURS, 9), gang="job-2"))
    launch(connector, site.request(OURS, 8))
    groups = {one.name: one.id for one in site.state.server_groups.values()}
    assert set(groups) == {f"clues-{OURS}-job-1", f"clues-{OURS}-job-2"}
    members = [one.group for one in site.state.servers.values()]
    assert sorted(map(members.count, set(members))) == [1, 1, 4]


def test_a_gang_is_found_behind_pages_that_the_cloud_cuts_short(site: OpenStackSite) -> None:
    site.state.page, site.project.server_groups = 3, 20
    for number in range(7):
        theirs = ServerGroup(new_id(), f"theirs-{number}", site.project.id, "affinity")
        site.state.server_groups[theirs.id] = theirs
    for number in (1, 2):  # a restarted daemon each
        launch(site.build(OURS, server_group="affinity"), replace(site.request(OURS, number), gang="job-1"))
    assert [one.name for one in site.state.server_groups.values()].count(f"clues-{OURS}-job-1") == 1


def test_without_a_policy_there_are_no_groups(site: OpenStackSite) -> None:
    launch(site.connect(OURS), replace(site.request(OURS, 1), gang="job-1"))
    assert site.state.server_groups == {}


@pytest.mark.parametrize("cause", ["quota", "policy"])
def test_a_group_that_cannot_be_had_does_not_keep_a_vm_from_being_made(site: OpenStackSite, cause: str) -> None:
    if cause == "quota":
        site.project.server_groups = 0
    else:
        site.state.forbidden.add("os_compute_api:os-server-groups:create")
    launch(site.build(OURS, server_group="affinity"), replace(site.request(OURS, 1), gang="job-1"))
    assert site.state.server_groups == {}


def test_a_group_that_is_empty_for_minutes_is_deleted_and_a_strangers_is_not(site: OpenStackSite) -> None:
    theirs = ServerGroup(new_id(), "theirs", site.project.id, "affinity")
    site.state.server_groups[theirs.id] = theirs
    now = [0.0]
    connector = site.build(OURS, server_group="affinity", monotonic=lambda: now[0])
    made = launch(connector, replace(site.request(OURS, 1), gang="job-1"))
    now[0] = 3600.0
    listed(connector)
    assert len(site.state.server_groups) == 2
    del site.state.servers[made.id]
    now[0] += 200
    listed(connector)
    assert len(site.state.server_groups) == 2
    now[0] += 301
    listed(connector)
    assert list(site.state.server_groups) == [theirs.id]
