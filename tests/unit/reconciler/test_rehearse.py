"""A rehearsal tells what the next tick does, and does nothing itself: no commit, no call, no command."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any, cast

import pytest

from clues.daemon import Daemon
from clues.errors import ConfigError, InvalidRequest, Transient
from clues.model import Limits, Purchase, Settings
from tests.unit.reconciler.parts import Parts, make_parts


@pytest.fixture
def parts() -> Parts:
    return make_parts()


def daemon_of(parts: Parts, what_if: Any = None) -> Daemon:
    """Return the door to a reconciler that has ticked, with nothing else behind it."""
    world, nothing = parts.world, cast(Any, None)
    daemon = Daemon(
        nothing, world.reconciler, nothing, world.books, nothing, world.ledger, world.clock, nothing, nothing, nothing,
        what_if,
    )  # fmt: skip
    daemon._shown = world.reconciler.published
    return daemon


def state_of(parts: Parts) -> Any:
    """Return all that a decision could change: the ledger's bytes, Slurm's nodes, what the clouds were asked for."""
    world = parts.world
    return deepcopy(
        (
            list(world.ledger._db.iterdump()),
            world.books.claims,
            world.books.memory,
            {name: vars(cloud)["asked"] for name, cloud in world.clouds.items()},
            [repr(vars(node)) for node in world.slurm.nodes.values()],
            dict(world.books.generations),
        )
    )


def test_it_tells_what_the_next_tick_does_and_does_nothing(parts: Parts) -> None:
    parts.world.reconciler.settings = without_room(parts)
    parts.job(nodes=2)
    parts.turns(3)
    assert parts.claims == {}
    plain = parts.world.reconciler.settings
    before = state_of(parts)
    daemon = daemon_of(parts, lambda changes: with_room(parts))
    assert daemon.rehearse(()).purchases == ()
    found = daemon.rehearse(("sites.x.limits.vms=9",))
    assert state_of(parts) == before
    assert [len(one.nodes) for one in found.purchases] == [2]
    assert found.purchases[0].jobs == ("101",)
    assert found.jobs[0].outlook.verdict == "buying"
    parts.world.reconciler.settings = with_room(parts)
    parts.turns(1)
    assert {claim.node for claim in parts.claims.values()} == set(found.purchases[0].nodes)
    assert plain != parts.world.reconciler.settings


def without_room(parts: Parts) -> Settings:
    return limited(parts, Limits(vms=0))


def with_room(parts: Parts) -> Settings:
    return limited(parts, Limits(vms=9))


def limited(parts: Parts, limits: Limits) -> Settings:
    settings = parts.world.reconciler.settings
    return replace(settings, sites={name: replace(site, limits=limits) for name, site in settings.sites.items()})


def test_a_change_that_cannot_be_is_the_askers_mistake(parts: Parts) -> None:
    def refuse(changes: object) -> Settings:
        raise ConfigError("--what-if: pools.gpu.max: this key is not known here")

    with pytest.raises(InvalidRequest, match="not known here"):
        daemon_of(parts, refuse).rehearse(("gpu.max=8",))


def test_before_the_first_tick_there_is_nothing_to_rehearse(parts: Parts) -> None:
    daemon = daemon_of(parts)
    daemon._shown = None
    with pytest.raises(Transient):
        daemon.rehearse(())


def test_an_unknown_price_makes_an_unknown_sum() -> None:
    offer = next(iter(make_parts().world.reconciler.settings.pools.values())).offers[0]
    assert Purchase("cpu", replace(offer, price_per_hour=None), ("a", "b")).cost_per_hour is None
    assert Purchase("cpu", replace(offer, price_per_hour=0.5), ("a", "b")).cost_per_hour == 1.0
