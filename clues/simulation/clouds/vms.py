"""One VM of a simulated provider."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from clues.model import Instance, InstanceState, Kind, LaunchRequest


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

    def picture(self, made_at: datetime) -> Instance:
        """Return the VM as its provider lists it. *made_at* is a date."""
        request, failed = self.request, self.state is InstanceState.ERROR
        return Instance(
            id=self.id,
            site=self.site,
            state=self.state,
            cluster=request.cluster,
            launch_key=request.launch_key,
            node=request.node,
            kind=request.kind.value,
            pool=request.pool,
            generation=request.generation,
            offer=request.offer.key,
            addresses=(self.address,),
            created_at=made_at,
            fault="no valid host was found" if failed else "",
            fault_code="no-capacity" if failed else "",
        )
