"""The daemon at another machine: over TLS, with a token that a file holds.

The token stands in a file and nowhere else: what is in the environment or the command line is seen by others. It is
read anew for each request, so that a program (``oidc-agent``, a timer) may keep it fresh.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import urlsplit

from clues.cli.errors import Failed, Usage

_LONGEST_TOKEN = 16 * 1024
_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Server:
    """Where the API is reached over TCP."""

    url: str
    token_file: str
    #: PEM file of the CAs that may have signed its certificate; empty: the system's
    ca_file: str = ""

    def connection(self, timeout: float) -> HTTPConnection:
        """Return a connection that is not open yet.

        :raises clues.cli.errors.CliError: the URL or the file of CAs cannot be used.
        """
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise Usage(f"CLUES_SERVER: {self.url} is no URL: {error}") from error
        if not host or parts.path not in ("", "/") or parts.query or parts.username:
            raise Usage(f"CLUES_SERVER: {self.url} is not https://HOST:PORT")
        if parts.scheme == "http" and host in _HERE:
            return HTTPConnection(host, port, timeout=timeout)
        if parts.scheme != "https":
            raise Usage(f"CLUES_SERVER: {self.url}: a token is only sent by https (http only to this machine)")
        import ssl  # takes a while, and is not needed on the front-end
        from http.client import HTTPSConnection

        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except (OSError, ssl.SSLError) as error:
            raise Failed(f"CLUES_CA_FILE: {self.ca_file}: {error}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return HTTPSConnection(host, port, timeout=timeout, context=context)

    def headers(self) -> dict[str, str]:
        """Return what shows who asks.

        :raises clues.cli.errors.Failed: the token's file cannot be used; the text says why.
        """
        if not self.token_file:
            raise Failed("CLUES_TOKEN_FILE: name the file that holds your token: CLUES_SERVER needs one")
        try:
            descriptor = os.open(self.token_file, os.O_RDONLY | os.O_CLOEXEC)
            with open(descriptor, encoding="ascii") as file:  # noqa: PTH123 - pathlib would be imported for this
                if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
                    raise Failed(f"{self.token_file}: others may read this token: chmod 600 it")
                token = file.read(_LONGEST_TOKEN + 1).strip()
        except (OSError, ValueError) as error:
            raise Failed(f"CLUES_TOKEN_FILE: {self.token_file} holds no token: {error}") from error
        if not token or len(token) > _LONGEST_TOKEN or any(not "!" <= sign <= "~" for sign in token):
            raise Failed(f"CLUES_TOKEN_FILE: {self.token_file} does not hold one token")
        return {"Authorization": f"Bearer {token}"}


def server_of(environment: Mapping[str, str]) -> Server | None:
    """Return the server that the environment names; None: the daemon is asked at its socket."""
    url = environment.get("CLUES_SERVER", "")
    if not url:
        return None
    token = environment.get("CLUES_TOKEN_FILE") or environment.get("BEARER_TOKEN_FILE", "")
    return Server(url, token, environment.get("CLUES_CA_FILE", ""))
