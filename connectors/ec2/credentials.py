"""Where the keys come from, in the order that AWS's own tools have: what the site names (a profile, a file), else the
environment, else the profile ``default``, else the role of the instance that the front-end is.

Files are read anew when keys were refused or have run out, so whoever renews a session in a file needs to tell nobody.
"""

from __future__ import annotations

import configparser
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clues.errors import AuthFailed
from connectors.common import credentials as secrets
from connectors.ec2.keys import Keys
from connectors.ec2.role import Role

#: Keys are looked for anew so long before they end.
EARLY = timedelta(minutes=5)

#: How tools that write sessions into a profile call their end.
_ENDS = ("aws_session_expiration", "aws_expiration", "x_security_token_expires", "expiration")
#: What a profile may hold instead of keys, that is not done here.
_OTHER_WAYS = ("role_arn", "credential_process", "sso_session", "sso_start_url", "web_identity_token_file")


class Source:
    """Finds the keys of one site. Safe to call from several threads at once."""

    def __init__(
        self,
        profile: str = "",
        reference: str = "",
        environ: Mapping[str, str] = os.environ,
        role: Role | None = None,
    ) -> None:
        """:param profile: the one that has to be taken; :param reference: names the file that has to be taken."""
        self._profile, self._reference, self._environ = profile, reference, environ
        self._role = role or Role(environ)
        self._lock = threading.Lock()
        self._keys: Keys | None = None

    def get(self) -> Keys:
        """Return keys that are good now.

        :raises AuthFailed: there are none; the text says where they were looked for.
        :raises Transient: the instance's role has keys, but cannot be asked at the moment.
        """
        with self._lock:
            if self._keys is None or _ends_soon(self._keys):
                self._keys = self._found() or self._role.keys()
            return self._keys

    def forget(self) -> None:
        """Look anew at the next call: these were refused."""
        with self._lock:
            self._keys = None

    def until(self) -> datetime | None:
        """Return when the keys end for good; None: they do not, are renewed by themselves, or it cannot be told."""
        with self._lock:
            try:
                keys = self._keys or self._found()
            except AuthFailed:
                return None
        return None if keys is None or keys.renewed else keys.until

    def _found(self) -> Keys | None:
        """Return the keys that are written down somewhere; None where nothing is."""
        if self._reference:
            return _of_file(secrets.find(self._reference, self._environ))
        if self._profile:
            return self._of_profile(self._profile, wanted=True)
        environ = self._environ
        if environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY"):
            return Keys(
                environ["AWS_ACCESS_KEY_ID"],
                environ["AWS_SECRET_ACCESS_KEY"],
                environ.get("AWS_SESSION_TOKEN", ""),
                _moment(environ.get("AWS_CREDENTIAL_EXPIRATION", "")),
            )
        named = environ.get("AWS_PROFILE", "")
        return self._of_profile(named or "default", wanted=bool(named))

    def _of_profile(self, name: str, *, wanted: bool) -> Keys | None:
        """Return the keys of a profile; None where it is not there and need not be."""
        shared = self._path("AWS_SHARED_CREDENTIALS_FILE", "credentials")
        general = self._path("AWS_CONFIG_FILE", "config")
        both = _section(general, "default" if name == "default" else f"profile {name}", secret=False)
        both |= _section(shared, name, secret=True)
        if not both:
            if wanted:
                raise AuthFailed(f"there is no profile {name!r} in {shared} or {general}")
            return None
        if "aws_secret_access_key" not in both and not wanted and not set(_OTHER_WAYS) & set(both):
            return None  # a profile that only names a region
        return _of_section(both, f"profile {name!r}")

    def _path(self, variable: str, usual: str) -> Path:
        given = self._environ.get(variable)
        return Path(given).expanduser() if given else Path("~/.aws").expanduser() / usual


def _of_file(path: Path) -> Keys:
    parser = _parse(path, secrets.read(path))
    if len(parser.sections()) != 1:
        raise AuthFailed(f"{path} has to have one profile, in the form of ~/.aws/credentials")
    return _of_section(dict(parser[parser.sections()[0]]), str(path))


def _section(path: Path, name: str, *, secret: bool) -> dict[str, str]:
    """Return a section of a file; a file that holds secrets may be read by its owner only."""
    if not path.exists():
        return {}
    try:
        text = secrets.read(path) if secret else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AuthFailed(f"{path} cannot be read ({type(error).__name__})") from None
    parser = _parse(path, text)
    found = dict(parser[name]) if parser.has_section(name) else {}
    if not secret and "aws_secret_access_key" in found:
        secrets.read(path)
    return found


def _parse(path: Path, text: str) -> configparser.RawConfigParser:
    # no section of this name is special, and the parser's own errors show lines of the file
    parser = configparser.RawConfigParser(default_section="\0", strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise AuthFailed(f"{path} is not in the form of ~/.aws/credentials ({type(error).__name__})") from None
    return parser


def _of_section(section: Mapping[str, str], where: str) -> Keys:
    access, secret = section.get("aws_access_key_id", ""), section.get("aws_secret_access_key", "")
    if access and secret:
        token = section.get("aws_session_token", "") or section.get("aws_security_token", "")
        ends = next((section[name] for name in _ENDS if section.get(name)), "")
        return Keys(access, secret, token, _moment(ends) if token else None)
    other = next((name for name in _OTHER_WAYS if name in section), "")
    if other:
        raise AuthFailed(
            f"{where} gets its keys by {other}, which clues does not do: write aws_access_key_id and "
            "aws_secret_access_key there, or give the front-end an instance role"
        )
    raise AuthFailed(f"{where} has no aws_access_key_id and aws_secret_access_key")


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _ends_soon(keys: Keys) -> bool:
    return keys.until is not None and datetime.now(UTC) > keys.until - EARLY
