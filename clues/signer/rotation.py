"""How one authority takes over from another, in three steps that nobody notices.

*add*: a second authority is trusted, and signs nothing. Members and central points learn of it when they renew.
*switch*: once all of them have, it signs; all renew again.
*drop*: once nobody lives by a certificate of the first one, that is trusted no more.

A step that would lock somebody out is refused, with how many it would be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum

from clues.inventory import Inventory, Member
from clues.signer.authority import LEAD, Rotation
from clues.signer.crl import SERVERS, belongs
from clues.signer.issued import Issued


class Step(StrEnum):
    """One step of a rotation."""

    ADD = "add"
    SWITCH = "switch"
    DROP = "drop"


#: what each step does, for people, before it is done
MEANING = {
    Step.ADD: "add a second authority, trusted beside the present one",
    Step.SWITCH: "let the new authority sign",
    Step.DROP: "trust the old authority no more",
}


def next_step(rotation: Rotation) -> Step:
    """Return which step comes next."""
    if len(rotation.trusted) == 1:
        return Step.ADD
    return Step.SWITCH if rotation.trusted[0] < rotation.trusted[1] else Step.DROP


def unknowing(inventory: Inventory, change: datetime) -> set[str]:
    """Return the launch keys of members that have not enrolled and boot with what was published before a change."""

    def knows(member: Member) -> bool:
        return member.created_at != "" and datetime.fromisoformat(member.created_at) >= change + LEAD

    return {one.key for one in inventory.members if not one.identity and belongs(one) and not knows(one)}


def obstacle(
    step: Step, rotation: Rotation, inventory: Inventory | None, unexpired: Iterable[Issued], now: datetime
) -> str:
    """Return why a step would lock somebody out now, as a sentence; empty when it would not.

    :param unexpired: every certificate that has not ended, oldest first.
    """
    if step is Step.ADD:
        return ""
    if inventory is None:
        return "the inventory is not known yet: is cluesd running?"
    holders = {one.holder: one for one in unexpired if one.revoked_at is None}
    living = {one.key for one in inventory.members if belongs(one)}
    needed = [one for one in holders.values() if one.kind in SERVERS or one.holder in living]
    if step is Step.SWITCH:
        if now < rotation.changed_at + LEAD:
            return f"the new authority was added just now: wait {LEAD.total_seconds():.0f} s"
        waiting = unknowing(inventory, rotation.changed_at)
        if waiting:
            return f"{_count(waiting, 'VM')} booting that would not know the new authority: wait until enrolled"
        # The enrolment front reads what is published by itself, whenever that changes.
        late = {one.holder for one in needed if one.kind != "front" and one.issued_at <= rotation.changed_at}
        return f"{_holders(late)} not learnt of the new authority yet" if late else ""
    late = {one.holder for one in needed if one.authority != rotation.trusted[0]}
    return f"{_holders(late)} a certificate of the old authority still" if late else ""


def _count(things: Collection[str], word: str) -> str:
    return f"1 {word} is" if len(things) == 1 else f"{len(things)} {word}s are"


def _holders(late: Collection[str]) -> str:
    shown = ", ".join(sorted(late)[:3]) + (", ..." if len(late) > 3 else "")
    return f"1 holder ({shown}) has" if len(late) == 1 else f"{len(late)} holders ({shown}) have"
