"""What tests may do behind the connector's back: refuse calls, put instances into states, read what was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.models.instances import Instance, StateReason

from tests.lab.aws.answers import refusal
from tests.lab.aws.backend import backend

#: EC2's states and the numbers that stand for them.
CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}


@dataclass
class Strike:
    """A refusal that waits for its calls."""

    action: str
    code: str
    times: int = 1
    words: str = ""
    detail: bool = False
    #: the call has had its effect by then
    after: bool = False
    #: only calls with these parameters
    match: Mapping[str, str] = field(default_factory=dict)


class Steering:
    """The verbs of ``/lab/``."""

    def __init__(self, tokens: Any, groups: Any) -> None:
        self._tokens, self._groups = tokens, groups
        self._lock = threading.Lock()
        self._clear()

    def _clear(self) -> None:
        self._calls: list[dict[str, str]] = []
        self._strikes: list[Strike] = []
        self._ignore_terminate = self._twice = 0
        #: most instances on one page of a listing; 0: as many as asked for
        self.page = 0
        #: for so many more instances there is room, and so many more are allowed; None: no bound
        self.room: int | None = None
        self.quota: int | None = None
        #: the exception that the price list refuses all calls with
        self.no_prices = ""

    # --- what the front asks ---

    def note(self, who: str, params: Mapping[str, str]) -> None:
        """Note a call and who signed it."""
        with self._lock:
            self._calls.append({**params, "by": who})

    def strike(self, params: Mapping[str, str], *, after: bool = False) -> None:
        """Raise the refusal whose turn it is, before or *after* the call's effect."""
        with self._lock:
            for one in self._strikes:
                meant = one.after is after and one.action == params["Action"]
                if one.times and meant and one.match.items() <= params.items():
                    one.times -= 1
                    raise refusal(one.code, words=one.words, detail=one.detail)

    def ignores_terminate(self) -> bool:
        """Whether this one is accepted, and nothing happens."""
        with self._lock:
            self._ignore_terminate -= (ignored := self._ignore_terminate > 0)
            return ignored

    def told_twice(self, body: bytes) -> bytes:
        """Return a listing, with everything in it twice where that was wanted."""
        with self._lock:
            self._twice -= (twice := self._twice > 0)
        if not twice:
            return body
        head, _, rest = body.partition(b"<reservationSet>")
        inside, _, tail = rest.rpartition(b"</reservationSet>")
        return head + b"<reservationSet>" + inside + inside + b"</reservationSet>" + tail

    def fill(self, count: int) -> None:
        """Note that so many instances were made."""
        self.room = None if self.room is None else self.room - count
        self.quota = None if self.quota is None else self.quota - count

    def move_to_group(self, instance_id: str, group: str) -> None:
        """Note where an instance stands."""
        self._instance(instance_id).placement.group_name = group

    # --- what tests say ---

    def serve(self, verb: str, said: Mapping[str, Any]) -> Any:
        """Do what a test says."""
        verbs: dict[str, Callable[..., Any]] = {
            "calls": self._told_calls,
            "refuse": self._refuse,
            "state": self._put_in_state,
            "tags": lambda instance_id, tags: self._instance(instance_id).add_tags(tags),
            "set": self._set,
            "alive": self._alive,
            "instances": self._instances,
            "left": self._left,
            "groups": lambda: dict(self._groups.known),
            "reset": self._reset,
        }
        return verbs[verb](**said)

    def _told_calls(self, since: int = 0) -> list[dict[str, str]]:
        with self._lock:
            return self._calls[since:]

    def _refuse(self, **said: Any) -> None:
        with self._lock:
            self._strikes.append(Strike(**said))

    def _put_in_state(self, instance_id: str, state: str, code: str = "", message: str = "") -> None:
        """An empty state lets it run, if nobody has ended it meanwhile."""
        instance = self._instance(instance_id)
        if not state and instance.state == "terminated":
            return
        state = state or "running"
        instance._state.name, instance._state.code = state, CODES.get(state, 272)
        instance.state_reason = StateReason(message, code)

    def _set(
        self,
        *,
        page: int | None = None,
        room: int | None = None,
        quota: int | None = None,
        no_prices: str | None = None,
        ignore_terminate: int = 0,
        twice: int = 0,
    ) -> None:
        self.page = self.page if page is None else page
        self.room = self.room if room is None else room
        self.quota = self.quota if quota is None else quota
        self.no_prices = self.no_prices if no_prices is None else no_prices
        with self._lock:
            self._ignore_terminate += ignore_terminate
            self._twice += twice

    def _alive(self) -> list[str]:
        return [one.id for one in backend().all_instances() if one.state not in ("terminated", "shutting-down")]

    def _instances(self) -> list[dict[str, Any]]:
        """Tell of all instances, as often as no listing of EC2's could be asked for."""
        return [
            {
                "id": one.id,
                "state": one.state,
                "address": one.private_ip_address,
                "place": one.ami_launch_index,
                "tags": {tag["key"]: tag["value"] for tag in one.get_tags()},
            }
            for one in backend().all_instances()
        ]

    def _left(self) -> dict[str, int]:
        """Count what is left of instances that are gone: volumes, and network cards that nobody has."""
        moto = backend()
        cards = [one for one in moto.enis.values() if one.instance is None or one.instance.state == "terminated"]
        return {"volumes": len(moto.volumes), "cards": len(cards)}

    def _reset(self) -> None:
        with self._lock:
            self._clear()
        self._tokens.forget()
        self._groups.known.clear()
        moto = backend()
        for instance in moto.all_instances():
            if instance.state != "terminated":
                instance.terminate()
            for address in instance._private_ips:
                moto.get_subnet(instance.subnet_id).del_subnet_ip(address)
            instance._private_ips.clear()
        moto.reservations.clear()

    def _instance(self, instance_id: str) -> Instance:
        found: list[Instance] = backend().get_multi_instances_by_id([instance_id])
        return found[0]
