"""From whatever a provider, libcloud or `requests` throws to exactly one type of :mod:`clues.errors`.

Two steps. What was said is taken out of the exception (:class:`Said`): the HTTP status, the provider's own code, its
words, how long it wants to be left alone, and whether the request may have arrived. Then the first rule of the
provider's table that matches names the type. Words are looked at only by rules, and only where a provider tells two
things apart by nothing else (a quota from a policy, at OpenStack and OpenNebula).
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import requests
import urllib3
from libcloud.common.exceptions import BaseHTTPError
from libcloud.common.types import InvalidCredsError, LibcloudError, MalformedResponseError

from clues.errors import AuthFailed, CloudError, InvalidRequest, OutcomeUnknown, Throttled, Transient

#: Longest text of a provider's that is kept.
LONGEST_WORDS = 1000
#: A provider that asks for more is asked again all the same.
LONGEST_WAIT = timedelta(hours=1)
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Said:
    """What came back instead of an answer."""

    words: str
    #: HTTP status; None when there was no reply
    status: int | None = None
    #: the provider's own name or number for it (``InsufficientInstanceCapacity``, ``512``)
    code: str = ""
    retry_after: timedelta | None = None
    #: the request may have reached the provider's hands and done its work
    arrived: bool = True
    #: the server's certificate could not be verified: a thing to mend, not to wait for
    untrusted: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of a provider's table. What is None (or empty) is not looked at; what is given has to match."""

    error: type[CloudError]
    status: int | tuple[int, ...] | None = None
    #: a regular expression for the whole of the code
    code: str = ""
    #: a regular expression that is searched for in the words, letter case ignored
    words: str = ""

    def matches(self, said: Said) -> bool:
        """Return whether this line is about what was said."""
        if self.status is not None:
            statuses = self.status if isinstance(self.status, tuple) else (self.status,)
            if said.status not in statuses:
                return False
        if self.code and not re.fullmatch(self.code, said.code):
            return False
        return not self.words or re.search(self.words, said.words, re.IGNORECASE) is not None


class Refused(Exception):
    """A reply that is no success, as the `parse_error` of a libcloud response may raise it: libcloud's own exceptions
    lose the words of a 429, and the status of a reply whose body is not what it expects."""

    def __init__(self, status: int, words: str, *, code: str = "", retry_after: timedelta | None = None) -> None:
        super().__init__(f"{status} {code}".rstrip())
        # 4xx are refusals; a 5xx may come from a proxy that had passed the request on
        self.said = Said(words, status, code, retry_after, arrived=status >= 500)


#: Who is sent elsewhere by one of these was not served: what is asked, and by which method, is to be asked there
#: (RFC 9110, 15.4). A 302 or 303 may be the answer to a POST that had its effect.
NOT_SERVED = (301, 307, 308)


class Redirected(requests.exceptions.TooManyRedirects):
    """The endpoint sends us elsewhere, and we do not go."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status}: the endpoint sends us elsewhere; name the right one in the configuration")
        self.status = status


#: Takes what was said out of an exception that only this provider throws; None for all others.
Reader = Callable[[BaseException], Said | None]


class Failures:
    """Knows what the errors of one provider mean."""

    def __init__(self, rules: Sequence[Rule], read: Reader = lambda _: None) -> None:
        self._rules, self._read = tuple(rules), read

    def said(self, error: BaseException) -> Said:
        """Return what an exception tells."""
        return self._read(error) or said_by(error)

    def classify(self, error: BaseException, doing: str, *, effect: bool) -> CloudError:
        """Return the typed error for *error*.

        :param doing: what was tried, in words: ``launch gpu-01``.
        :param effect: the call changes something, so that one whose reply is lost may have done so.
        """
        if isinstance(error, CloudError):
            return error
        said = self.said(error)
        said = replace(said, words=shown(said.words) or type(error).__name__)
        kind = self.kind(said, effect=effect)
        message = f"{doing}: {said.words}"
        if kind is Throttled:
            return Throttled(message, words=said.words, retry_after=said.retry_after)
        return kind(message, words=said.words)

    def kind(self, said: Said, *, effect: bool) -> type[CloudError]:
        """Return the type that what was said amounts to."""
        for rule in self._rules:
            if rule.matches(said):
                return rule.error
        if said.untrusted or said.status == 401:
            return AuthFailed
        if said.status == 429:
            return Throttled
        if said.status in NOT_SERVED:
            return InvalidRequest
        return OutcomeUnknown if effect and said.arrived else Transient


def said_by(error: BaseException) -> Said:
    """Return what an exception of libcloud, requests or the standard library tells."""
    match error:
        case Refused():
            return error.said
        case BaseHTTPError():
            wait = wait_of((error.headers or {}).get("retry-after")) if error.headers else None
            status = int(error.code)
            # 429 and 4xx are refusals; a 5xx may come from a proxy that had passed the request on
            return Said(str(error.message), status, retry_after=wait, arrived=status >= 500)
        case InvalidCredsError():
            return Said(str(error.value), 401, arrived=False)
        case MalformedResponseError():
            return Said(f"{error.value}: {error.body}")
        case LibcloudError():
            return Said(str(error.value))
        case Redirected():
            return Said(str(error), error.status, arrived=error.status not in NOT_SERVED)
        case requests.exceptions.SSLError() | ssl.SSLError():
            # any other may come after the request was sent: TLS has an end of its own, which a dying server leaves out
            untrusted = _is_untrusted(error)
            return Said(str(error), arrived=not untrusted, untrusted=untrusted)
        case requests.exceptions.ConnectTimeout() | socket.gaierror():
            return Said(str(error), arrived=False)
        case requests.exceptions.ConnectionError():
            return Said(str(error), arrived=not _never_connected(error))
        case LookupError() | TypeError() | ValueError():
            return Said(f"this is not the reply that was asked for: {type(error).__name__}: {error}")
        case _:
            return Said(str(error))


def _never_connected(error: BaseException) -> bool:
    """Return whether a connection was refused or its host unknown: requests wraps urllib3, which wraps the socket."""
    inner: Any = error.args[0] if error.args else None
    return isinstance(getattr(inner, "reason", inner), urllib3.exceptions.NewConnectionError)


def _is_untrusted(error: BaseException) -> bool:
    return "certificate verify failed" in str(error).lower()


def wait_of(text: object) -> timedelta | None:
    """Return a Retry-After, seconds or a date (RFC 9110, 10.2.3), as a duration no longer than an hour; None where it
    is none."""
    told = str(text).strip()
    if _SECONDS.fullmatch(told):
        wait = timedelta(seconds=float(told))
    else:
        try:
            until = parsedate_to_datetime(told)
        except (ValueError, OverflowError):
            return None
        wait = until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)
    return min(max(wait, timedelta(0)), LONGEST_WAIT)


def shown(words: str) -> str:
    """Return a provider's words on one line without control characters, cut to :data:`LONGEST_WORDS`."""
    line = " ".join("".join(one if one.isprintable() else " " for one in words[: 4 * LONGEST_WORDS]).split())
    return line if len(line) <= LONGEST_WORDS else line[: LONGEST_WORDS - 3] + "..."
