"""oned's error codes, and the two ways in which a call fails: an answer that says so, and an XML-RPC fault."""

from __future__ import annotations

AUTHENTICATION, AUTHORIZATION, NO_EXISTS, ACTION = 0x0100, 0x0200, 0x0400, 0x0800
XML_RPC_API, INTERNAL, ALLOCATE, LOCKED, REPLICATION = 0x1000, 0x2000, 0x4000, 0x8000, 0x10000

#: of xmlrpc-c: an argument of the wrong type or number, a method that is not there
TYPE_ERROR, NO_SUCH_METHOD = -501, -506


class OneFailure(Exception):
    """The call was understood and refused."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words
