"""Placement groups, which moto (5.2.5) does not have: made, listed by tag, and only ended when nobody lives in them."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from tests.lab.aws.answers import Answer, refusal, success
from tests.lab.aws.backend import backend


class Groups:
    """All placement groups, with their tags."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.known: dict[str, dict[str, str]] = {}

    def serve(self, params: Mapping[str, str], region: str) -> Answer | None:
        """Return the answer to a call that is about groups; None for any other."""
        serve = {
            "CreatePlacementGroup": self._create,
            "DeletePlacementGroup": self._delete,
            "DescribePlacementGroups": self._describe,
        }.get(params["Action"])
        if serve is None:
            return None
        with self._lock:
            return serve(params, region)

    def check(self, params: Mapping[str, str]) -> str:
        """Return the group that a launch wants; a group that does not exist is refused."""
        name = params.get("Placement.GroupName", "")
        if name and name not in self.known:
            raise refusal("InvalidPlacementGroup.Unknown", words=f"The Placement Group '{name}' is unknown.")
        return name

    def _create(self, params: Mapping[str, str], region: str) -> Answer:
        name, tag = params["GroupName"], "TagSpecification.1.Tag.1"
        if name in self.known:
            raise refusal("InvalidPlacementGroup.Duplicate")
        self.known[name] = {params[f"{tag}.Key"]: params[f"{tag}.Value"]} if f"{tag}.Key" in params else {}
        return success(params["Action"], "<return>true</return>")

    def _delete(self, params: Mapping[str, str], region: str) -> Answer:
        name = params["GroupName"]
        if name not in self.known:
            raise refusal("InvalidPlacementGroup.Unknown")
        for instance in backend(region).all_instances():
            if instance.placement.group_name == name and instance.state != "terminated":
                raise refusal("InvalidPlacementGroup.InUse")
        del self.known[name]
        return success(params["Action"], "<return>true</return>")

    def _describe(self, params: Mapping[str, str], region: str) -> Answer:
        key, value = params.get("Filter.1.Name", "").removeprefix("tag:"), params.get("Filter.1.Value.1")
        items = [
            f"<item><groupName>{name}</groupName><state>available</state><strategy>cluster</strategy></item>"
            for name, tags in self.known.items()
            if not key or tags.get(key) == value
        ]
        return success(params["Action"], f"<placementGroupSet>{''.join(items)}</placementGroupSet>")
