"""One token for all threads of a site, from keystone v3.

libcloud's own logins know no project by id, no application credential by name, no second region, and take the first
project of an OIDC user whichever it is; each of its connections logs in for itself. So the login is ours, and the
driver is given the token and the endpoints.

Credentials are read anew at each login. One that keystone has refused is not tried again at once: a few dozen threads
that try a wrong password are an attack, and accounts are locked for less.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

from clues.errors import AuthFailed, InvalidRequest, NotFound
from connectors.common.failures import Failures
from connectors.openstack.clouds import Entry, Method
from connectors.openstack.oidc import AccessTokens, ends_at
from connectors.openstack.transport import Answer, Trust, exchange

#: a token that ends so soon is not used any more
_MARGIN = 60.0
#: credentials that were refused rest for so long, unless they change
_REST = 10.0


@dataclass(frozen=True, slots=True)
class Token:
    """A token with what keystone told beside it."""

    id: str = field(repr=False)
    #: of :func:`time.monotonic`
    good_until: float
    project_id: str
    user_id: str
    #: URLs by service type
    endpoints: Mapping[str, str]
    trust: Trust
    #: how much our clock is ahead of keystone's
    skew: timedelta | None


class Session:
    """Keeps the site's token. Safe for all threads."""

    def __init__(
        self,
        read: Callable[[], Entry],
        tokens: AccessTokens | None,
        region: str,
        timeout: float,
        failures: Failures,
    ) -> None:
        """:param read: reads the credentials.
        :param tokens: where access tokens come from, for the method that needs them.
        """
        self._read, self._tokens, self._region = read, tokens, region
        self._timeout, self._failures = timeout, failures
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._refusal: tuple[Entry, float, AuthFailed] | None = None
        #: when the credentials end, by whatever was told at logins
        self._until: datetime | None = None

    def token(self) -> Token:
        """Return a token that is good now, after a login if there is none.

        :raises CloudError: the login failed; it had no effect.
        """
        with self._lock:
            if self._token is None or time.monotonic() >= self._token.good_until:
                self._token = None
                self._token = self._log_in()
            return self._token

    def refuse(self, token: Token) -> None:
        """Forget a token that a service has refused, unless there is another one by now."""
        with self._lock:
            if self._token is token:
                self._token = None
                if self._tokens is not None:
                    self._tokens.refused()

    def until(self) -> datetime | None:
        """Return when the credentials end for good; None where they do not, or nobody tells.

        :raises CloudError: there are none that could be used.
        """
        if self._tokens is not None:
            return self._tokens.until()
        self.token()
        return self._until

    # --- the login ------------------------------------------------------------------------------------------------

    def _log_in(self) -> Token:
        entry = self._read()
        if self._refusal is not None:
            refused, at, failure = self._refusal
            if refused == entry and time.monotonic() - at < _REST and entry.method is not Method.OIDC:
                raise AuthFailed(str(failure), words=failure.words)
        trust = Trust(entry.cacert, entry.client_cert)
        try:
            token, answer = self._prove(entry, trust)
            made = self._read_token(entry, trust, token, answer)
            self._until = self._end_of(entry, made, answer.json["token"])
        except Exception as error:
            failure_ = self._failures.classify(error, f"log in at {entry.auth_url} ({entry.source})", effect=False)
            if isinstance(failure_, NotFound):
                # a credential that was deleted is answered so; to the caller it would mean that its VM is gone
                failure_ = AuthFailed(str(failure_), words=failure_.words)
            if isinstance(failure_, AuthFailed):
                self._refusal = (entry, time.monotonic(), failure_)
            if failure_ is error:
                raise
            raise failure_ from error
        self._refusal = None
        return made

    def _prove(self, entry: Entry, trust: Trust) -> tuple[str, Answer]:
        """Log in; return the token and keystone's answer."""
        auth = entry.auth
        match entry.method:
            case Method.PASSWORD:
                user = _user(auth) | {"password": auth["password"]}
                return self._ask(entry, trust, "password", {"user": user}, _project(auth))
            case Method.APPLICATION_CREDENTIAL:
                given: dict[str, Any] = {"secret": auth["application_credential_secret"]}
                if "application_credential_id" in auth:
                    given["id"] = auth["application_credential_id"]
                else:
                    given |= {"name": auth.get("application_credential_name", ""), "user": _user(auth)}
                return self._ask(entry, trust, "application_credential", given, None)
            case Method.TOKEN:
                return self._ask(entry, trust, "token", {"id": auth["token"]}, _project(auth))
            case Method.OIDC:
                return self._federated(entry, trust)

    def _ask(
        self, entry: Entry, trust: Trust, method: str, given: Mapping[str, Any], scope: Mapping[str, Any] | None
    ) -> tuple[str, Answer]:
        body: dict[str, Any] = {"auth": {"identity": {"methods": [method], method: given}}}
        if scope is not None:
            body["auth"]["scope"] = {"project": scope}
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        url = f"{entry.auth_url}/v3/auth/tokens"
        answer = exchange(trust, "POST", url, self._timeout, headers=headers, body=json.dumps(body))
        return answer.headers["X-Subject-Token"], answer

    def _federated(self, entry: Entry, trust: Trust) -> tuple[str, Answer]:
        """An access token buys a token without a project, and that one buys another with it."""
        auth = entry.auth
        access = self._tokens.get() if self._tokens is not None else auth["access_token"]
        provider, protocol = quote(auth["identity_provider"], safe=""), quote(auth["protocol"], safe="")
        url = f"{entry.auth_url}/v3/OS-FEDERATION/identity_providers/{provider}/protocols/{protocol}/auth"
        headers = {"Authorization": f"Bearer {access}", "Accept": "application/json"}
        try:
            answer = exchange(trust, "POST", url, self._timeout, headers=headers)
        except Exception as error:
            failure = self._failures.classify(error, "hand in the access token", effect=False)
            if isinstance(failure, AuthFailed) and self._tokens is not None:
                self._tokens.refused()
            raise
        unscoped = answer.headers["X-Subject-Token"]
        scope = _project(auth)
        if scope is None:
            scope = {"id": self._only_project(entry, trust, unscoped)}
        return self._ask(entry, trust, "token", {"id": unscoped}, scope)

    def _only_project(self, entry: Entry, trust: Trust, token: str) -> str:
        headers = {"X-Auth-Token": token, "Accept": "application/json"}
        found = exchange(trust, "GET", f"{entry.auth_url}/v3/auth/projects", self._timeout, headers=headers)
        projects = found.json["projects"]
        if len(projects) != 1:
            names = ", ".join(f"{one['name']} ({one['id']})" for one in projects)
            raise AuthFailed(f"{entry.source}: write project_id: there are {len(projects)} projects: {names}")
        return str(projects[0]["id"])

    # --- what keystone tells --------------------------------------------------------------------------------------

    def _read_token(self, entry: Entry, trust: Trust, token: str, answer: Answer) -> Token:
        told = answer.json["token"]
        if "project" not in told or "catalog" not in told:
            raise AuthFailed(f"{entry.source}: the token is for no project: write project_id, or project_name")
        # both times are keystone's, so that it does not matter what our clock says
        lasts = (_time(told["expires_at"]) - _time(told["issued_at"])).total_seconds()
        try:
            skew = datetime.now(UTC) - parsedate_to_datetime(answer.headers.get("Date", ""))
        except (ValueError, TypeError):
            skew = None
        return Token(
            id=token,
            good_until=time.monotonic() + lasts - min(_MARGIN, lasts / 4),
            project_id=str(told["project"]["id"]),
            user_id=str(told["user"]["id"]),
            endpoints=_endpoints(entry, self._region, told["catalog"]),
            trust=trust,
            skew=skew,
        )

    def _end_of(self, entry: Entry, made: Token, told: Mapping[str, Any]) -> datetime | None:
        """Return when these credentials end. What cannot be told is no failure of the login."""
        try:
            if entry.method is Method.OIDC:
                return ends_at(entry.auth.get("access_token", ""))
            if entry.method is Method.TOKEN:
                return _time(told["expires_at"])
            if entry.method is Method.PASSWORD:
                return _time(told["user"]["password_expires_at"])
            credential = told["application_credential"]["id"]
            url = f"{entry.auth_url}/v3/users/{made.user_id}/application_credentials/{credential}"
            headers = {"X-Auth-Token": made.id, "Accept": "application/json"}
            found = exchange(made.trust, "GET", url, self._timeout, headers=headers)
            return _time(found.json["application_credential"]["expires_at"])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is classified, and means that nobody tells
            self._failures.classify(error, "ask when the credentials end", effect=False)
            return None


def _user(auth: Mapping[str, str]) -> dict[str, Any]:
    if "user_id" in auth:
        return {"id": auth["user_id"]}
    return {"name": auth.get("username", ""), "domain": _domain(auth, "user_domain")}


def _project(auth: Mapping[str, str]) -> dict[str, Any] | None:
    if "project_id" in auth:
        return {"id": auth["project_id"]}
    if "project_name" not in auth:
        return None
    return {"name": auth["project_name"], "domain": _domain(auth, "project_domain")}


def _domain(auth: Mapping[str, str], whose: str) -> dict[str, str]:
    for prefix in (whose, "domain"):
        for key in ("id", "name"):
            if f"{prefix}_{key}" in auth:
                return {key: auth[f"{prefix}_{key}"]}
    return {"id": auth.get("default_domain", "default")}


def _endpoints(entry: Entry, region: str, catalog: Any) -> dict[str, str]:
    """Return the URL of each service in the one region that is meant.

    :raises CloudError: it is not clear which region is meant, or a URL cannot be trusted with the token.
    """
    wanted = region or entry.region
    found: dict[str, dict[str, str]] = {}
    for service in catalog:
        for one in service.get("endpoints", ()):
            if one.get("interface") == entry.interface and one.get("url"):
                found.setdefault(str(service["type"]), {})[str(one.get("region_id") or one.get("region"))] = one["url"]
    regions = sorted({name for urls in found.values() for name in urls})
    if not wanted and len(regions) > 1:
        raise InvalidRequest(f"{entry.source}: write the site's `region`: there are {', '.join(regions)}")
    if wanted and wanted not in regions:
        raise InvalidRequest(f"{entry.source}: there is no region {wanted}; there are: {', '.join(regions) or 'none'}")
    chosen = {kind: urls[wanted or regions[0]] for kind, urls in found.items() if (wanted or regions[0]) in urls}
    chosen |= entry.endpoints
    for kind, url in chosen.items():
        if entry.auth_url.startswith("https:") and urlsplit(url).scheme != "https" and kind in _USED:
            raise InvalidRequest(
                f"{entry.source}: the catalog sends us to {url}, where the token would go in clear: name another "
                f"`interface`, or `{kind}_endpoint_override`"
            )
    return chosen


_USED = frozenset({"compute", "network", "image"})


def _time(text: object) -> datetime:
    """Return a time of keystone's, which is in UTC whether it says so or not."""
    time_ = datetime.fromisoformat(str(text))
    return time_ if time_.tzinfo is not None else time_.replace(tzinfo=UTC)
