"""A world in which VMs grow old, images change and nodes are spared; and what must never come of that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import timedelta

from clues.model import DISRUPTED, Claim, ClaimState, ClusterSnapshot, Leaving, Offer, Pool, Settings

Tell = Callable[..., None]


def retiring(settings: Settings) -> Settings:
    """Return *settings* whose pools do all of it, at a pace that fits a few hours."""
    pools = {
        name: replace(
            pool,
            max_age=timedelta(minutes=30),
            consolidate=True,
            disrupt=0.3,
        )
        for name, pool in settings.pools.items()
    }
    return replace(settings, pools=pools)


def with_image(settings: Settings, image: str) -> Settings:
    """Return *settings* all of whose offers start from another image."""

    def changed(pool: Pool) -> tuple[Offer, ...]:
        return tuple(replace(offer, image=image) for offer in pool.offers)

    return replace(settings, pools={name: replace(one, offers=changed(one)) for name, one in settings.pools.items()})


class DrainWatch:
    """Looks at what supply has drained: by the same words of the planner's, from what the daemon had seen."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        #: nodes drained although they were more than idle
        self.count = 0

    def commits(
        self,
        before: Mapping[str, Claim],
        changes: Collection[Claim],
        settings: Settings,
        snapshot: ClusterSnapshot | None,
    ) -> None:
        """A change is about to be committed. *before*: live claims as they are on the disk."""
        fresh = [one for one in changes if _is_drained(one) and not _is_drained(before.get(one.key))]
        for claim in changes:
            was = before.get(claim.key)
            if was is not None and was.leaving in (Leaving.OLD, Leaving.DIFFERS) and claim.state is ClaimState.READY:
                self._tell(f"{claim.node} is called back although it has to be replaced", claim.key, claim.node)
        if not fresh or snapshot is None:
            return
        self.count += len(fresh)
        after = {**before, **{one.key: one for one in changes}}
        for pool in settings.pools.values():
            mine = [one for one in fresh if one.pool == pool.name]
            if mine:
                self._share(pool, mine, before, after)
                self._busy(mine, snapshot)
                self._room(pool, mine, after, snapshot)

    def _share(self, pool: Pool, mine: list[Claim], before: Mapping[str, Claim], after: Mapping[str, Claim]) -> None:
        going = sum(1 for one in after.values() if one.pool == pool.name and _is_drained(one))
        known = [one for one in (*before.values(), *after.values()) if one.pool == pool.name]
        all_of_it = {one.key for one in known if one.state is ClaimState.READY or _is_drained(one)}
        most = max(1, int(pool.disrupt * len(all_of_it)))
        if going > most:
            text = f"{going} of {len(all_of_it)} nodes of pool {pool.name} are drained at once, {most} are the most"
            self._tell(text, *(one.key for one in mine))

    def _busy(self, mine: list[Claim], snapshot: ClusterSnapshot) -> None:
        for claim in mine:
            node = snapshot.nodes.get(claim.node)
            if claim.leaving is Leaving.DIFFERS and node is not None and node.busy:
                self._tell(f"{claim.node} is drained as it differs, and it was seen busy", claim.key, claim.node)

    def _room(self, pool: Pool, mine: list[Claim], after: Mapping[str, Claim], snapshot: ClusterSnapshot) -> None:
        """The work of spare nodes has room on those that stay."""
        spare = [snapshot.nodes[one.node] for one in mine if one.leaving is Leaving.SPARE]
        stay = [one.node for one in after.values() if one.pool == pool.name and one.state is ClaimState.READY]
        free = sum(node.free.cpus for name in stay if (node := snapshot.nodes.get(name)) is not None and node.usable)
        used = sum(node.used.cpus for node in spare)
        if used > free:
            text = f"{len(spare)} nodes of pool {pool.name} with {used} busy CPUs are spared, {free} are free elsewhere"
            self._tell(text, *(one.key for one in mine))


def _is_drained(claim: Claim | None) -> bool:
    return claim is not None and claim.state is ClaimState.DRAINING and claim.leaving in DISRUPTED
