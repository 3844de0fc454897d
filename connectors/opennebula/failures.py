"""What OpenNebula's errors mean.

It has nine codes. Two of them mean several things that call for different answers, and only their words tell these
apart (measured on 6.10 and 7.4): 0x0200 is a quota, a restricted attribute or a missing right; 0x4000 is no free
address, or something that is not there.
"""

from __future__ import annotations

from clues.errors import AuthFailed, InvalidRequest, NoCapacity, NotFound, QuotaExceeded, Transient
from connectors.common.failures import Failures, Rule, Said, wait_of
from connectors.opennebula.driver import OpenNebulaError, OpenNebulaFault, OpenNebulaHttpError, OpenNebulaUnreadable

AUTHENTICATION, AUTHORIZATION, NO_EXISTS, ACTION = 0x0100, 0x0200, 0x0400, 0x0800
XML_RPC_API, INTERNAL, ALLOCATE, LOCKED, REPLICATION = 0x1000, 0x2000, 0x4000, 0x8000, 0x10000

RULES = (
    Rule(AuthFailed, code=str(AUTHENTICATION)),
    Rule(QuotaExceeded, code=str(AUTHORIZATION), words=r"limit of \S+ reached for \S+ quota in"),
    Rule(InvalidRequest, code=str(AUTHORIZATION), words="restricted attribute"),
    Rule(AuthFailed, code=str(AUTHORIZATION)),
    Rule(NotFound, code=str(NO_EXISTS)),
    # a VM that boots cannot be ended yet
    Rule(Transient, code=str(ACTION), words="wrong state|not available for state"),
    Rule(InvalidRequest, code=f"{ACTION}|{XML_RPC_API}"),
    Rule(InvalidRequest, code=str(INTERNAL), words="pars(e|ing)|syntax error"),
    Rule(NoCapacity, code=str(ALLOCATE), words="Cannot get IP/MAC lease"),
    Rule(InvalidRequest, code=str(ALLOCATE)),
    # somebody has locked it, and has to unlock it
    Rule(InvalidRequest, code=str(LOCKED)),
    # 0x2000 and 0x10000: it failed inside, at any time
    Rule(InvalidRequest, code="fault"),
    Rule(AuthFailed, status=(401, 403)),
    Rule(InvalidRequest, status=(404, 405)),
)


def read(error: BaseException) -> Said | None:
    """Return what an exception of the driver tells."""
    match error:
        case OpenNebulaFault():
            return Said(str(error), code="fault")
        case OpenNebulaError():
            return Said(error.words, code=str(error.code))
        case OpenNebulaHttpError():
            wait = wait_of(error.headers.get("retry-after"))
            return Said(error.words, error.status, retry_after=wait, arrived=error.status >= 500)
        case OpenNebulaUnreadable():
            return Said(str(error))
        case _:
            return None


FAILURES = Failures(RULES, read)
