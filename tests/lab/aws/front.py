"""The front before moto: every request is checked, noted, perhaps refused or lied to, and mended on its way back.

Tests steer it over HTTP too, by POST to ``/lab/VERB`` (:mod:`.steering`), so that it can run in a process of its own.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode

from tests.lab.aws import pricelist, signatures
from tests.lab.aws.answers import Answer, mended, success
from tests.lab.aws.backend import REGION
from tests.lab.aws.groups import Groups
from tests.lab.aws.steering import Steering
from tests.lab.aws.strictness import (
    Tokens,
    check_address,
    check_launch,
    check_route,
    free_addresses,
    ids_in,
    still_alive,
)

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]

#: Who may sign: secret, and token of a session. The second is somebody else in the same account.
KEYS = {
    "AKIACLUES": ("clues-secret", ""),
    "AKIASTRANGER": ("strangers-secret", ""),
    "ASIACLUES": ("sessions-secret", "sessions-token"),
}


@dataclass
class Request:
    """One request, read."""

    environ: dict[str, Any]
    body: bytes
    #: its form's fields
    params: dict[str, str] = field(default_factory=dict)
    region: str = REGION
    service: str = ""


class Front:
    """A WSGI application around moto's."""

    def __init__(self, moto: Wsgi) -> None:
        self._moto = moto
        # moto's own state is not made for threads (a generator of addresses that is run twice at once, for one)
        self._lock = threading.Lock()
        self.tokens, self.groups = Tokens(), Groups()
        self.steering = Steering(self.tokens, self.groups)

    def __call__(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        path = environ.get("PATH_INFO", "/")
        if path.startswith("/lab/"):
            told = json.dumps(self.steering.serve(path.removeprefix("/lab/"), json.loads(body or b"{}")))
            return _reply(start, 200, told.encode(), "application/json")
        if path.startswith(("/latest/", "/moto-api/")):
            status, reply, headers = self._ask_moto(environ, body)
            return _reply(start, status, reply, headers.get("content-type", "text/plain"))
        try:
            status, reply = self._serve(Request(environ, body))
        except Answer as answer:
            return _reply(start, answer.status, answer.body, answer.content_type)
        return _reply(start, status, mended(status, reply), "text/xml;charset=UTF-8")

    def _serve(self, request: Request) -> tuple[int, bytes]:
        environ = request.environ
        headers = {
            name.removeprefix("HTTP_").lower().replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
        }
        query = environ.get("QUERY_STRING", "")
        fields = parse_qsl(query, keep_blank_values=True) + parse_qsl(request.body.decode(), keep_blank_values=True)
        request.params = dict(fields)
        signatures.check(environ["REQUEST_METHOD"], environ["PATH_INFO"], query, headers, request.body, KEYS)
        request.region, request.service = headers["authorization"].split("/")[2:4]
        if request.service == "pricing":
            self.steering.note("", {"Action": "GetProducts", "Body": request.body.decode()})
            raise pricelist.serve(headers, request.body, request.region, self.steering.no_prices)
        self.steering.note(headers["authorization"].split("Credential=")[1].split("/")[0], request.params)
        if request.service != "ec2":
            return self._through(request, request.params)
        self.steering.strike(request.params)
        if (answer := self.groups.serve(request.params, request.region)) is not None:
            raise answer
        status, body = self._ec2(request)
        self.steering.strike(request.params, after=True)
        return status, body

    def _ec2(self, request: Request) -> tuple[int, bytes]:
        params = request.params
        match params["Action"]:
            case "RunInstances":
                return self.tokens.run(params, lambda wanted: self._run(request, wanted))
            case "TerminateInstances":
                return self._terminate(request)
            case "DescribeInstances":
                status, body = self._through(request, self._understood(params))
                return status, self.steering.told_twice(body)
            case "CreateRoute":
                check_route(params, request.region)
                return self._through(request, params)
            case _:
                return self._through(request, params)

    def _run(self, request: Request, params: Mapping[str, str]) -> tuple[int, bytes]:
        if params["Action"] != "RunInstances" or params.get("DryRun") == "true":
            return self._through(request, params)
        with self._lock:
            check_address(params, request.region)
            group = self.groups.check(params)
            params = check_launch(params, self.steering.room, self.steering.quota)
            status, body = self._locked(request, params)
            made = ids_in(body) if status == 200 else []
            self.steering.fill(len(made))
            for one in made if group else ():
                self.steering.move_to_group(one, group)
        return status, body

    def _terminate(self, request: Request) -> tuple[int, bytes]:
        ids = [value for name, value in request.params.items() if name.startswith("InstanceId.")]
        state = "<currentState><code>32</code><name>shutting-down</name></currentState>"
        items = "".join(f"<item><instanceId>{one}</instanceId>{state}</item>" for one in ids)
        yes = success("TerminateInstances", f"<instancesSet>{items}</instancesSet>")
        if self.steering.ignores_terminate():
            raise yes
        with self._lock:
            alive = still_alive(ids, request.region)
            if not alive:
                raise yes
            wanted = {"Action": "TerminateInstances", **{f"InstanceId.{at}": one for at, one in enumerate(alive, 1)}}
            status, body = self._locked(request, wanted)
            if status == 200:
                free_addresses(alive, request.region)
                raise yes
        return status, body

    def _understood(self, params: dict[str, str]) -> dict[str, str]:
        """Return what moto can make of a question: it knows no filter by client token, and pages as it likes."""
        params = dict(params)
        for name, value in list(params.items()):
            if name.startswith("Filter.") and value == "client-token":
                wanted = f"{name.removesuffix('.Name')}.Value"
                ids = self.tokens.instances_of(params[f"{wanted}.1"]) or ["i-none"]
                params |= {name: "instance-id", **{f"{wanted}.{at}": one for at, one in enumerate(ids, 1)}}
        if self.steering.page and "MaxResults" in params:
            params["MaxResults"] = str(min(self.steering.page, int(params["MaxResults"])))
        return params

    def _through(self, request: Request, params: Mapping[str, str]) -> tuple[int, bytes]:
        with self._lock:
            return self._locked(request, params)

    def _locked(self, request: Request, params: Mapping[str, str]) -> tuple[int, bytes]:
        form = urlencode({"Version": "2016-11-15", **params}).encode()
        environ = {**request.environ, "REQUEST_METHOD": "POST", "QUERY_STRING": "", "CONTENT_LENGTH": str(len(form))}
        status, body, _ = self._ask_moto({**environ, "CONTENT_TYPE": "application/x-www-form-urlencoded"}, form)
        return status, body

    def _ask_moto(self, environ: dict[str, Any], body: bytes) -> tuple[int, bytes, dict[str, str]]:
        told: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
            told[:] = [int(status.split()[0]), {name.lower(): value for name, value in headers}]

        # what werkzeug has parsed of the former body is not that of this one
        fresh = {name: value for name, value in environ.items() if not name.startswith("werkzeug.request")}
        content = b"".join(self._moto({**fresh, "wsgi.input": io.BytesIO(body)}, start))
        return told[0], content, told[1]


def _reply(start: StartResponse, status: int, body: bytes, content_type: str) -> list[bytes]:
    line = f"{status} {HTTPStatus(status).phrase}"
    start(line, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]
