"""What each fault of the wire amounts to, as tables."""

from __future__ import annotations

from clues.errors import CloudError, OutcomeUnknown, Throttled, Transient
from clues.testing.wire_faults import WireFault

#: What a fault amounts to for a call that only reads, and for one that has an effect.
PERHAPS = (Transient, OutcomeUnknown)
MEANING: dict[str, tuple[type[CloudError], type[CloudError]]] = {
    "LOST_REPLY": PERHAPS,
    "RESET": PERHAPS,
    "CUT_BODY": PERHAPS,
    "TRUNCATED": PERHAPS,
    "SERVER_ERROR": PERHAPS,
    "BAD_GATEWAY": PERHAPS,
    "UNAVAILABLE": PERHAPS,
    "TOO_MANY": (Throttled, Throttled),
    "HUGE": PERHAPS,
    "BOMB": PERHAPS,
    "GARBAGE": PERHAPS,
    "ODD": PERHAPS,
    "EMPTY": PERHAPS,
    "PORTAL": PERHAPS,
}
FAULTS = [getattr(WireFault, name) for name in MEANING]
#: the same in the other language
XML = {"GARBAGE": WireFault.GARBAGE_XML, "ODD": WireFault.ODD_XML}

#: Retry-After as providers write it, with the least and the most that may be told; None: nothing can be told
RETRY_AFTER: dict[str, tuple[float, float] | None] = {
    "7": (7, 7),
    "in 40 s": (20, 41),  # as a date
    "soon": None,
    "-5": None,
    "\u00b2": None,  # a digit to str.isdigit, and none to float
    "Fri, 31 Dec 99999 23:59:59 GMT": None,
    "99999999999999999999": None,
}
