"""The simulated cloud keeps the contract of connectors: what simulated worlds prove is to hold for real ones."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from random import Random
from threading import Lock
from typing import Any, ClassVar

import pytest

from clues.model import Instance, Kind, LaunchRequest, Limits, Offer, Price, Resources
from clues.simulation.clouds.cloud import SimCloud, Watcher
from clues.simulation.timeline import Timeline
from clues.simulation.worlds.profiles import CloudProfile, Delay
from clues.testing.connector_contract import OURS, ConnectorContract

QUICK = CloudProfile(
    provision=Delay(0.05), ending=Delay(0.05), gone_shown=60.0, latency=Delay(0.0), lag=Delay(0.0), boot=Delay(1.0)
)


class InRealTime:
    """A simulated cloud whose time passes with the real one, one call after the other."""

    def __init__(self, site: SimSite, cluster: str) -> None:
        self._site, self._cloud = site, site.cloud.seen_by(cluster)

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._cloud, name)
        if not callable(call):
            return call

        def in_time(*arguments: Any) -> Any:
            with self._site.lock:
                self._site.pass_time()
                return call(*arguments)

        return in_time


class SimSite:
    """An account at a simulated provider."""

    name = "simulated"

    def __init__(self) -> None:
        self.lock, self.began = Lock(), time.monotonic()
        self.time = Timeline(datetime.now(UTC))
        self.cloud = SimCloud(self.name, OURS, QUICK, self.time, Random(1), Watcher())
        self.cloud.foreign = None
        self.cloud.sizes = {"small": Resources(2, 4096)}
        self.cloud.quota_limits = Limits(vms=4)
        self.cloud.tells_prices = {self._offer().key: Price(0.1, "EUR", "simulated")}

    def pass_time(self) -> None:
        now = time.monotonic() - self.began
        while (due := self.time.next_at()) is not None and due <= now:
            self.time.step()
        self.time.passed = now

    def _offer(self) -> Offer:
        return Offer(self.name, "small", "clues-worker")

    # --- what the suite asks ---

    def connect(self, cluster: str) -> Any:
        return InRealTime(self, cluster)

    def request(self, cluster: str, number: int) -> LaunchRequest:
        return LaunchRequest(
            cluster=cluster,
            launch_key=f"key-{cluster[-1]}-{number}",
            kind=Kind.WORKER,
            node=f"node-{number}",
            pool="pool",
            generation=1,
            offer=self._offer(),
            shape=Resources(1, 1024),
            user_data="#!/bin/sh\n",
            address=f"10.77.16.{number}",
        )

    def fail_next(self, op: str, code: str) -> None:
        self.cloud.next[op] = "lost-after" if code == "unknown-outcome" else code

    def pull_the_plug(self, instance: Instance) -> None:
        self.cloud.lose(self.cloud.vms[instance.id])

    def public_bytes(self) -> Iterable[tuple[str, bytes]]:
        return ()


class TestSimulatedCloud(ConnectorContract):
    QUOTA_VMS = 4
    TELLS_PRICES = False  # with its flavors
    TELLS_CONSOLE = False
    ERRORS: ClassVar[dict[str, Sequence[str]]] = {  # type: ignore[assignment]
        "launch": ("no-capacity", "quota", "throttled", "auth", "transient", "invalid", "unknown-outcome"),
        "list": ("auth", "throttled", "transient"),
        "terminate": ("auth", "throttled", "transient", "unknown-outcome"),
        "quota": ("auth", "throttled", "transient"),
    }

    @pytest.fixture
    def site(self) -> SimSite:
        return SimSite()
