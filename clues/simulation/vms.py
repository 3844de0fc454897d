"""One VM of a simulated provider, and who wants to know what becomes of VMs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clues.model import InstanceState, Kind, LaunchRequest

if TYPE_CHECKING:
    from clues.simulation.cloud import SimCloud


@dataclass(slots=True, eq=False)
class SimVM:
    """One VM and its secret fate. Times are the world's."""

    id: str
    site: str
    request: LaunchRequest
    address: str
    fate: str
    made_at: float
    price_per_hour: float
    listed_from: float
    state: InstanceState = InstanceState.PENDING
    #: it is hidden from listings until then
    hidden_until: float = 0.0
    shown_at: float = 0.0
    #: when it stopped to cost, and when the provider called it gone
    ended_at: float | None = None
    gone_at: float | None = None
    enrolled_at: float | None = None
    registered_at: float | None = None
    #: a router's tunnel is up since then; one that is mute lives on without it
    tunnel_at: float | None = None
    mute: bool = False
    #: the provider made it after it had said that it had not
    late: bool = False
    busy_seconds: float = 0.0

    @property
    def key(self) -> str:
        return self.request.launch_key

    @property
    def node(self) -> str:
        return self.request.node

    @property
    def is_router(self) -> bool:
        return self.request.kind is Kind.ROUTER

    @property
    def alive(self) -> bool:
        """It runs, or is about to."""
        return self.state in (InstanceState.PENDING, InstanceState.RUNNING)

    def cost(self, now: float) -> float:
        """Return what it has cost so far."""
        return self.price_per_hour * ((self.ended_at if self.ended_at is not None else now) - self.made_at) / 3600


class Watcher:
    """What the world wants to know of a cloud; does nothing by itself."""

    def launching(self, cloud: SimCloud, request: LaunchRequest) -> None: ...

    def refused(self, offer: str) -> None: ...

    def made(self, vm: SimVM) -> None: ...

    def terminating(self, vm: SimVM) -> None: ...

    def ended(self, vm: SimVM) -> None: ...

    def moved(self, vm: SimVM) -> None: ...

    def broken(self, text: str) -> None: ...
