"""Server groups, which tell nova how far apart the nodes of one job shall stand.

There is one for each gang, by its name. A project may have only a few (ten, by default), so one without members is
deleted after some minutes; and where there is none to be had the VM is made without: a wish about its place is no
reason not to run the job.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

from clues.errors import AuthFailed, QuotaExceeded
from connectors.common.failures import Failures
from connectors.common.together import Keys
from connectors.openstack.api import ONE_POLICY, SOFT_POLICIES, Cloud, Json, segment
from connectors.openstack.ports import GRACE

log = logging.getLogger(__name__)

_PAGE = 200


class Gangs:
    """Finds, makes and deletes the server groups of one cluster at one site."""

    def __init__(
        self,
        cluster: str,
        site: str,
        policy: str,
        failures: Failures,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prefix, self._site, self._policy = f"clues-{cluster}-", site, policy
        self._failures, self._monotonic = failures, monotonic
        self._names = Keys()
        #: when a group was needed last, or first seen without need, by its id
        self._used: dict[str, float] = {}

    def group_for(self, cloud: Cloud, gang: str) -> str:
        """Return the id of the gang's server group, made if need be; empty where there is to be none, or can be."""
        if not gang or self._policy == "none":
            return ""
        if self._policy.startswith("soft-") and cloud.version < SOFT_POLICIES:
            return ""
        name = self._prefix + gang
        with self._names.hold(name):
            # two daemons might make two of them: then all take the same one
            same = sorted(str(one["id"]) for one in self._groups(cloud) if one["name"] == name)
            group = same[0] if same else self._make(cloud, name)
        if group:
            self._used[group] = self._monotonic()
        return group

    def _make(self, cloud: Cloud, name: str) -> str:
        wish: Json = {"name": name}
        wish |= {"policy": self._policy} if cloud.version >= ONE_POLICY else {"policies": [self._policy]}
        try:
            return str(cloud.post("compute", "/os-server-groups", {"server_group": wish})["server_group"]["id"])
        except Exception as error:
            failure = self._failures.classify(error, f"make server group {name}", effect=False)
            if not isinstance(failure, QuotaExceeded | AuthFailed):
                raise
            log.warning("site %s: VMs of a gang are placed anywhere: %s", self._site, failure)
            return ""

    def _groups(self, cloud: Cloud) -> Iterator[Json]:
        """Yield our groups. They have no markers, but offsets; a page may be shorter than asked for (nova's
        ``[api] max_limit``), so the last one is the one that has nothing new."""
        seen: set[str] = set()
        offset = 0
        while True:
            page = cloud.get("compute", "/os-server-groups", limit=_PAGE, offset=offset)["server_groups"]
            fresh = [one for one in page if str(one["id"]) not in seen]
            if not fresh:
                return
            yield from (one for one in fresh if str(one["name"]).startswith(self._prefix))
            seen.update(str(one["id"]) for one in fresh)
            offset += len(page)

    def sweep(self, cloud: Cloud) -> int:
        """Delete the groups that nobody is in any more; return how many."""
        if self._policy == "none":
            return 0
        now, deleted = self._monotonic(), 0
        for one in list(self._groups(cloud)):
            group = str(one["id"])
            if one["members"]:
                self._used[group] = now
            elif now - self._used.setdefault(group, now) >= GRACE:
                cloud.delete("compute", f"/os-server-groups/{segment(group)}")
                self._used.pop(group, None)
                deleted += 1
        return deleted
