"""What failures teach: what failed is left alone for a while, longer each time, then tried again with one launch.

There are breakers of three kinds, as each kind of failure has another cure. Capacity is an offer's, whichever pool and
image it is for. What is wrong with the VMs or with the request (boots that fail, an unknown image) is a pool's own at
one offer. Quota, credentials and too many requests are a whole site's; a site whose calls fail for no reason of its own
(connections refused, 503) is left alone too, at first for seconds only: what passes by itself passes soon, or not at
all. No two breakers that were set at one moment end at one moment.

One whose time has passed lets one launch through, and what becomes of it decides: it opens again for longer, or lets
two through, then four, then eight, and is gone (:mod:`clues.planner.capacity.gates` keeps the count). Too many
requests, and calls that fail, pass by themselves and are not tried one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from clues.errors import CloudError, OutcomeUnknown, Throttled, Transient, error_code
from clues.model import COMING, Breaker, BreakerState, Claim, Memory, Offer, Pace, pool_key
from clues.model.breaker import AT
from clues.planner.capacity.spread import spread
from clues.units import show_duration

#: The provider took a VM back: the market of its offer is short.
RECLAIMED = "reclaimed"

#: Failure codes that say something about the whole site, and those about an offer's capacity; all others are about the
#: VMs of one pool.
SITE_WIDE = frozenset({"quota", "auth", "throttled"})
CAPACITY = frozenset({"no-capacity", RECLAIMED})

#: The provider calls the request itself wrong: that does not pass by itself.
INVALID = "invalid"

#: Codes after which nothing is held against anybody: they pass by themselves, or were our own wish.
FORGIVEN = frozenset(
    ["", *"transient unknown-outcome unwanted second vanished silent unreachable stolen evicted not-found".split()]
)

#: What a site's calls that fail by themselves are remembered as, and how long it is left alone after the first.
UNSTEADY = "transient"
_FIRST_REST = timedelta(seconds=2)

#: So many failures in a row may be a hiccup: what was asked is asked again later, but nobody goes elsewhere for that.
_HICCUPS = 2

#: Those that are not tried with one launch when their time has passed: all may come back then.
UNCOUNTED = frozenset({UNSTEADY, "throttled"})

#: With so many at once allowed, nothing is held back any more: the breaker is closed.
CLOSED_AT = 16

#: An invalid request is tried again so many times less often than one that had no room.
_INVALID_TIMES = 12


def keys_of(owner: str, offer: Offer) -> tuple[str, ...]:
    """Return the keys of all breakers that may stand against a VM of *offer* for a pool (or for a router's node)."""
    return (offer.key, offer.site, own_key(owner, offer), pool_key(owner))


def own_key(owner: str, offer: Offer) -> str:
    """Return the key of what is wrong with a pool's (or router's) own VMs of an offer."""
    return f"{owner}{AT}{offer.key}"


def owner_of(claim: Claim) -> str:
    """Return whose VM it is: its pool's, or the router's own."""
    return claim.pool or claim.node


def is_about_vms(breaker: Breaker) -> bool:
    """Whether it is held against the VMs, or the requests, of one pool, and not against a site or its capacity."""
    return bool(breaker.owner) and breaker.key.startswith((f"{breaker.owner}{AT}", pool_key(breaker.owner)))


def learn_failure(memory: Memory, claim: Claim, code: str, words: str, now: datetime, pace: Pace) -> Memory:
    """Return *memory* with one more failure of *code* held against the claim's offer, its site, or its pool there."""
    if code in FORGIVEN:
        return memory
    offer = claim.offer
    key = offer.site if code in SITE_WIDE else offer.key if code in CAPACITY else own_key(owner_of(claim), offer)
    waits = (pace.retry_offer, pace.retry_offer_longest)
    if code == INVALID:
        waits = (waits[1], waits[1] * _INVALID_TIMES)
    return _rest(memory, key, code, words, now, waits, claim)


def _rest(
    memory: Memory,
    key: str,
    code: str,
    words: str,
    now: datetime,
    waits: tuple[timedelta, timedelta],
    claim: Claim,
) -> Memory:
    """Return *memory* with one more failure of what *key* names.

    :param waits: how long it is left alone after the first one, and at most.
    """
    before = memory.breakers.get(key)
    in_row = before is not None and _family(before.code) == _family(code) and before.image in ("", _image(key, claim))
    if before is not None and in_row and (before.until > now or _is_of_last_burst(claim, code, before)):
        return memory  # launches of one burst that fail together are one failure
    failures = before.failures + 1 if before is not None and in_row else 1
    since = before.since if before is not None and in_row else now
    breaker = Breaker(key, code, words, since, now + back_off(key, failures, waits), failures, failed_at=now)
    breaker = replace(breaker, owner=owner_of(claim), offer=claim.offer.key, image=_image(key, claim))
    return replace(memory, breakers={**memory.breakers, key: breaker})


def _is_of_last_burst(claim: Claim, code: str, before: Breaker) -> bool:
    """Whether a launch was sent before another of its kind failed: VMs take their time to fail. That one is taken back
    says something of now, whenever it was launched."""
    return code not in UNCOUNTED and code != RECLAIMED and not _is_later(claim.launched_at, before.failed_at)


def back_off(key: str, failures: int, waits: tuple[timedelta, timedelta]) -> timedelta:
    """Return how long is waited after so many failures in a row: twice as long each time, up to the longest."""
    return spread(min(waits[0] * 2 ** min(max(failures, 1) - 1, 16), waits[1]), key, failures)


def _image(key: str, claim: Claim) -> str:
    """Return the image that a failure says something about; capacity and quota have none."""
    return claim.offer.image if AT in key else ""


def _family(code: str) -> str:
    """Failures of one family are of one kind: those of different kinds make no row."""
    if code in CAPACITY:
        return "capacity"
    return code if code in SITE_WIDE or code in (UNSTEADY, INVALID) else "boots"


def holds(breaker: Breaker, offer: Offer) -> bool:
    """Whether a breaker says anything about this offer as it is configured now: another image is not held to it."""
    return breaker.image in ("", offer.image) or AT not in breaker.key


def why_left_alone(memory: Memory, owner: str, offer: Offer, now: datetime) -> str:
    """Return in words what stands against any VM of *offer* for a pool or router now; empty: nothing is open."""
    for breaker in against(memory, owner, offer):
        if breaker.until > now and not is_hiccup(breaker):
            return rests(breaker, now)
    return ""


def against(memory: Memory, owner: str, offer: Offer) -> Iterator[Breaker]:
    """Return the breakers that say something about *offer* for a pool or router, open or not."""
    for key in keys_of(owner, offer):
        breaker = memory.breakers.get(key)
        if breaker is not None and holds(breaker, offer):
            yield breaker


def remembered(breaker: Breaker, now: datetime) -> Breaker:
    """Return a breaker as it is to be read *now*, by a clock that may have been set back since it was written: nothing
    in it lies in the future but the end of its rest, which is no longer than it was after the last failure."""
    failed_at = breaker.failed_at or breaker.since
    return replace(
        breaker,
        since=min(breaker.since, now),
        until=min(breaker.until, now + (breaker.until - failed_at)),
        failed_at=breaker.failed_at and min(breaker.failed_at, now),
    )


def is_hiccup(breaker: Breaker) -> bool:
    """Whether it sends nobody elsewhere yet."""
    return breaker.code == UNSTEADY and breaker.failures <= _HICCUPS


def told(breaker: Breaker) -> str:
    """Return a breaker in words, without what comes next."""
    return f"{breaker.code} for {breaker.key}, {breaker.failures} times"


def comes_next(breaker: Breaker, now: datetime) -> str:
    """Return in words what a breaker lets through now, or when it next will."""
    state = breaker.state(now)
    if state is BreakerState.OPEN:
        return f"next try in {show_duration(breaker.until - now)} ({breaker.words})"
    if breaker.code in UNCOUNTED:
        return "tried again now"
    if state is BreakerState.PROBING:
        return f"it is tried with one VM now ({breaker.words})"
    return f"it works again: up to {breaker.allowed} VMs at once now, twice as many after each that comes"


def rests(breaker: Breaker, now: datetime) -> str:
    """Return in words that a breaker is open, and for how long."""
    return f"{told(breaker)}; next try in {show_duration(breaker.until - now)} ({breaker.words})"


def learn_error(memory: Memory, claim: Claim, error: CloudError, now: datetime, pace: Pace) -> Memory:
    """Return *memory* after a provider's refusal; a provider's own waiting time is kept to."""
    site = claim.offer.site
    if isinstance(error, Transient | OutcomeUnknown):
        before = memory.breakers.get(site)
        if before is not None and before.code != UNSTEADY and before.until > now:
            return memory  # what it has said of itself stands
        return _rest(memory, site, UNSTEADY, error.words, now, (_FIRST_REST, pace.retry_offer), claim)
    memory = learn_failure(memory, claim, error_code(error), error.words, now, pace)
    if isinstance(error, Throttled) and error.retry_after is not None and site in memory.breakers:
        # failed at this moment, though it may be one of a burst: else its rest would seem to have begun with the first
        until = now + max(error.retry_after, timedelta(seconds=1))
        breaker = replace(memory.breakers[site], until=until, failed_at=now)
        memory = replace(memory, breakers={**memory.breakers, site: breaker})
    return memory


def learn_answer(memory: Memory, site: str) -> Memory:
    """Return *memory* after a call to a site that worked: it is not left alone any more for those that did not."""
    breaker = memory.breakers.get(site)
    if breaker is None or breaker.code != UNSTEADY:
        return memory
    return without(memory, [site])


def learn_success(memory: Memory, before: Claim, claim: Claim) -> Memory:
    """Return *memory* with what a claim's progress takes back of what was held against its offer.

    That its VM runs shows that there is capacity, quota and a valid request; that its node has passed its checks shows
    that boots work. A VM that was launched before the last failure says nothing of what came after it: the first of a
    gang may have been made, and its mate refused, again and again.
    """
    site, own, pool = claim.offer.site, own_key(owner_of(claim), claim.offer), pool_key(claim.pool)
    works = claim.ready_at is not None and before.ready_at is None
    runs = _is_known_to_run(claim) and not _is_known_to_run(before)
    if not memory.breakers or not (runs or works) or before.state not in COMING:
        return memory
    for key in (claim.offer.key, site, own, pool):
        breaker = memory.breakers.get(key)
        if breaker is None or not _is_later(claim.launched_at, breaker.failed_at):
            continue
        proven = works if is_about_vms(breaker) and breaker.code != INVALID else runs
        if not proven or (claim.probe and is_about_vms(breaker)):
            continue  # that an image on trial boots says nothing of the pool's
        at_once = breaker.code == INVALID or key == pool or (key == site and breaker.code != "quota")
        memory = without(memory, [key]) if at_once else _grown(memory, breaker)
    return memory


def _is_known_to_run(claim: Claim) -> bool:
    """Its provider has listed it, or it has come without that: a site may not be listed for a while."""
    return claim.listed_at is not None or claim.ready_at is not None


def _grown(memory: Memory, breaker: Breaker) -> Memory:
    allowed = breaker.allowed * 2
    if allowed >= CLOSED_AT:
        return without(memory, [breaker.key])
    # not open any more, though its time may not have passed: a launch that was under way can show that
    until = min(breaker.until, breaker.failed_at or breaker.since)
    grown = replace(breaker, allowed=allowed, failures=max(1, breaker.failures - 1), until=until)
    return replace(memory, breakers={**memory.breakers, breaker.key: grown})


def without(memory: Memory, keys: Iterable[str]) -> Memory:
    """Return *memory* with these breakers closed."""
    gone = frozenset(keys)
    return replace(memory, breakers={key: one for key, one in memory.breakers.items() if key not in gone})


def _is_later(launched_at: datetime | None, failed_at: datetime | None) -> bool:
    return launched_at is None or failed_at is None or launched_at > failed_at
