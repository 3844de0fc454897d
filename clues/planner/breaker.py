"""What failures teach: an offer that had no room is left alone for a while, longer each time, until it works again.

Two kinds of breaker: one for an offer (no capacity, an invalid flavor, boots that fail) and one for a whole site
(quota, credentials, too many requests), as each has another cure.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from clues.errors import CloudError, Throttled, error_code
from clues.model import Breaker, Claim, Memory, Offer, Pace

#: Failure codes that say something about the whole site; all others are about the offer.
SITE_WIDE = frozenset({"quota", "auth", "throttled"})

#: Codes after which nothing is held against anybody: they pass by themselves, or were our own wish.
FORGIVEN = frozenset({"transient", "unknown-outcome", "unwanted", "second", "vanished", "not-found", ""})


def learn_failure(memory: Memory, offer: Offer, code: str, words: str, now: datetime, pace: Pace) -> Memory:
    """Return *memory* with one more failure of *code* held against the offer or its site."""
    if code in FORGIVEN:
        return memory
    key = offer.site if code in SITE_WIDE else offer.key
    before = memory.breakers.get(key)
    if before is not None and before.code == code and before.until > now:
        return memory  # launches of one burst that fail together are one failure
    failures = before.failures + 1 if before is not None and before.code == code else 1
    wait = min(pace.retry_offer * 2 ** min(failures - 1, 16), pace.retry_offer_longest)
    breaker = Breaker(key, code, words, before.since if before and failures > 1 else now, now + wait, failures)
    return replace(memory, breakers={**memory.breakers, key: breaker})


def learn_error(memory: Memory, offer: Offer, error: CloudError, now: datetime, pace: Pace) -> Memory:
    """Return *memory* after a provider's refusal; a provider's own waiting time is kept to."""
    memory = learn_failure(memory, offer, error_code(error), error.words, now, pace)
    if isinstance(error, Throttled) and error.retry_after is not None and offer.site in memory.breakers:
        breaker = replace(memory.breakers[offer.site], until=now + max(error.retry_after, timedelta(seconds=1)))
        memory = replace(memory, breakers={**memory.breakers, offer.site: breaker})
    return memory


def learn_success(memory: Memory, claim: Claim) -> Memory:
    """Return *memory* without what was held against an offer that has just worked."""
    keys = {claim.offer.key, claim.offer.site}
    if keys.isdisjoint(memory.breakers):
        return memory
    return replace(memory, breakers={key: one for key, one in memory.breakers.items() if key not in keys})
