"""OpenStack's APIs, asked plainly: what the lab and its tests know of the cloud does not come from the connector."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import requests

from tests.lab.frontend import LabError

#: Every service gets the newest words that it knows; nova would speak those of 2013 otherwise.
_HEADERS = {"OpenStack-API-Version": "compute 2.90"}


class ApiError(LabError):
    """An answer of 400 or above."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text[:2000]}")
        self.status, self.text = status, text


class Api:
    """One user in one project."""

    def __init__(self, urls: Mapping[str, str], user: str, password: str, project: str) -> None:
        """:param urls: the address of each service: ``identity``, ``compute``, ``network``, ``image``."""
        self._urls = urls
        identity = {
            "methods": ["password"],
            "password": {"user": {"name": user, "domain": {"id": "default"}, "password": password}},
        }
        scope = {"project": {"name": project, "domain": {"id": "default"}}}
        self._login: Any = {"auth": {"identity": identity, "scope": scope}}
        self.token = ""
        self.project = ""

    def login(self) -> None:
        """Get a token; it is done by itself when the first call is made."""
        answer = requests.post(f"{self._urls['identity']}/auth/tokens", json=self._login, timeout=60)
        if answer.status_code != 201:
            raise ApiError(answer.status_code, answer.text)
        self.token = answer.headers["X-Subject-Token"]
        self.project = answer.json()["token"]["project"]["id"]

    def call(
        self,
        method: str,
        service: str,
        path: str,
        body: Any = None,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the JSON of the answer, None where there is none.

        :raises ApiError: the answer is a refusal.
        """
        if not self.token:
            self.login()
        sent = {"X-Auth-Token": self.token, **_HEADERS, **(headers or {})}
        answer = requests.request(method, self._urls[service] + path, json=body, data=data, headers=sent, timeout=120)
        if answer.status_code >= 400:
            raise ApiError(answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def get(self, service: str, path: str) -> Any:
        """GET."""
        return self.call("GET", service, path)

    def post(self, service: str, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        """POST."""
        return self.call("POST", service, path, body, headers=headers)

    def put(self, service: str, path: str, body: Any = None) -> Any:
        """PUT."""
        return self.call("PUT", service, path, body)

    def delete(self, service: str, path: str) -> None:
        """DELETE; what is not there (any more) is no error."""
        try:
            self.call("DELETE", service, path)
        except ApiError as error:
            if error.status != 404:
                raise

    # --- servers --------------------------------------------------------------------------------------------------

    def servers(self, query: str = "") -> list[dict[str, Any]]:
        """Return all servers of the project, page by page; a *query* that asks for others ends with ``&``."""
        found: list[dict[str, Any]] = []
        while True:
            after = f"&marker={found[-1]['id']}" if found else ""
            page = self.get("compute", f"/servers/detail?{query}limit=10{after}")["servers"]
            if not page:
                return found
            found += page

    def ports(self) -> list[dict[str, Any]]:
        """Return all ports of the project."""
        if not self.project:
            self.login()
        found: list[dict[str, Any]] = self.get("network", f"/v2.0/ports?project_id={self.project}")["ports"]
        return found


def ready(ask: Callable[[], Any]) -> Callable[[], bool]:
    """Return a question that is answered with yes as soon as *ask* raises nothing (a service that comes up)."""

    def asked() -> bool:
        try:
            ask()
        except (requests.RequestException, ApiError):
            time.sleep(0.3)  # it has better things to do than to refuse us
            return False
        return True

    return asked
