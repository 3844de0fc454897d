"""Placement groups: the nodes of one job stand close together in one that is made for it, and goes when it is empty."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from hashlib import sha256

from connectors.common.tags import CLUSTER
from connectors.ec2.api import Ec2Driver, Refused, numbered, text
from connectors.ec2.errors import FAILURES

log = logging.getLogger(__name__)

#: A group that has been empty for so long is not wanted any more; one whose launches failed is tried again before.
_EMPTY_SECONDS = 600.0


class Groups:
    """The placement groups of one cluster at one site. Safe to call from several threads at once."""

    def __init__(self, cluster: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._cluster, self._monotonic = cluster, monotonic
        self._lock = threading.Lock()
        self._launching: Counter[str] = Counter()
        #: groups that exist, and since when each is seen without an instance (None: it is not)
        self._known: dict[str, float | None] = {}
        self._looked = False

    def name_of(self, gang: str) -> str:
        """Return the group of a gang: readable, and never that of another cluster or gang."""
        short = re.sub(r"[^A-Za-z0-9_-]", "-", gang)[:60]
        return f"clues-{self._cluster[:8]}-{short}-{sha256(f'{self._cluster} {gang}'.encode()).hexdigest()[:8]}"

    @contextmanager
    def holding(self, driver: Ec2Driver, gang: str) -> Iterator[str]:
        """Run the body while the gang's group exists; gives its name."""
        name = self.name_of(gang)
        with self._lock:
            self._launching[name] += 1
            missing = name not in self._known
        try:
            if missing:
                self._make(driver, name)
            yield name
        except Refused as error:
            if error.code == "InvalidPlacementGroup.Unknown":
                self._forget(name)
            raise
        finally:
            with self._lock:
                self._launching[name] -= 1
                if self._known.get(name) is not None:
                    self._known[name] = self._monotonic()

    def tidy(self, driver: Ec2Driver, inhabited: Collection[str]) -> None:
        """End the groups that have been empty for a while. What does not work is tried again by the next listing.

        :param inhabited: the groups of living instances, all of them.
        """
        try:
            if not self._looked:
                self._find(driver)
            for name in self._abandoned(inhabited):
                driver.ask("DeletePlacementGroup", {"GroupName": name})
                self._forget(name)
        except Exception as error:  # noqa: BLE001 - the listing that this is a part of is good all the same
            failure = FAILURES.classify(error, "end empty placement groups", effect=True)
            log.warning("%s", failure)

    def _abandoned(self, inhabited: Collection[str]) -> list[str]:
        now = self._monotonic()
        with self._lock:
            for name, since in self._known.items():
                busy = name in inhabited or self._launching[name] > 0
                self._known[name] = None if busy else now if since is None else since
            return [name for name, since in self._known.items() if since is not None and now - since >= _EMPTY_SECONDS]

    def _find(self, driver: Ec2Driver) -> None:
        """Take up the groups of an earlier daemon."""
        answer = driver.ask("DescribePlacementGroups", numbered("", {f"tag:{CLUSTER}": self._cluster}))
        names = [text(item, "groupName") for item in answer.findall("placementGroupSet/item")]
        with self._lock:
            self._looked = True
            for name in names:
                self._known.setdefault(name, None)

    def _make(self, driver: Ec2Driver, name: str) -> None:
        tag = {"Tag.1.Key": CLUSTER, "Tag.1.Value": self._cluster}
        params = {"GroupName": name, "Strategy": "cluster", "TagSpecification.1.ResourceType": "placement-group"}
        params |= {f"TagSpecification.1.{part}": value for part, value in tag.items()}
        try:
            driver.ask("CreatePlacementGroup", params)
        except Refused as error:
            if error.code != "InvalidPlacementGroup.Duplicate":
                raise
        with self._lock:
            self._known.setdefault(name, None)

    def _forget(self, name: str) -> None:
        with self._lock:
            self._known.pop(name, None)
