"""HTTP as libcloud speaks it, with bounds.

libcloud reads a reply of any size into memory, waits anew for each byte of it, guesses its encoding from all of it
where its type names none (seconds for a long listing), follows redirects with the credentials in the headers, puts what
``~/.netrc`` says in place of those headers, and cannot bear a Retry-After that is no number (``float("soon")`` in
libcloud 3.9.1). A provider that is ill must cost one typed error, not the daemon's memory.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

import requests
import urllib3
from libcloud.http import LibcloudConnection

from connectors.common.failures import Redirected, wait_of

#: Ten thousand servers in full detail are some 40 MB.
LARGEST_REPLY = 64 * 2**20
#: from the request until the last byte of its reply
LONGEST_REPLY = 120.0
_CHUNK = 65536


class ReplyTooLarge(requests.exceptions.RequestException):
    """A reply was cut off; whatever was asked may have happened."""


class BoundedConnection(LibcloudConnection):
    """A libcloud connection whose replies are bounded in size and time, and which follows no redirect."""

    def request(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        raw: bool = False,
        stream: bool = False,
        hooks: Any = None,
    ) -> None:
        """Send one request and read its whole reply.

        :raises requests.exceptions.RequestException: it could not be sent or read, or is too large, or takes too long.
        """
        deadline = time.monotonic() + LONGEST_REPLY
        session: Any = self.session
        session.auth = _as_it_is  # with none `requests` looks for one in ~/.netrc
        response = session.request(
            method=method.lower(),
            url=urljoin(str(self.host), url),
            data=body,
            headers={name: str(value) for name, value in (headers or {}).items()},
            allow_redirects=False,
            stream=True,
            verify=self.verification,
            timeout=session.timeout,
            hooks=hooks,
        )
        self.response = _read(response, deadline)
        if 300 <= response.status_code < 400 and "location" in response.headers:
            # libcloud would take it for a success with an odd body
            raise Redirected(response.status_code)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _read(response: requests.Response, deadline: float) -> requests.Response:
    """Return the response with its content read, within the bounds."""
    content = bytearray()
    try:
        # each read1 is one wait; a read that fills its buffer would wait for each byte of a reply that drips
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            content += chunk
            if len(content) > LARGEST_REPLY:
                raise ReplyTooLarge(f"the reply is larger than {LARGEST_REPLY >> 20} MiB")
            if time.monotonic() > deadline:
                raise requests.exceptions.ReadTimeout(f"the reply took longer than {LONGEST_REPLY:g} s")
    except urllib3.exceptions.HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError(f"the reply broke off: {error}") from error
    finally:
        response.close()
    response._content, response._content_consumed = bytes(content), True  # as `requests` does when it reads a reply
    if "charset" not in response.headers.get("content-type", "").lower():
        response.encoding = "utf-8"
    if "retry-after" in response.headers:
        wait = wait_of(response.headers.pop("retry-after"))
        if wait is not None:
            response.headers["retry-after"] = str(int(wait.total_seconds()))
    return response
