"""Keystone v3: tokens by password, application credential, token and federation; the catalog."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from tests.lab.openstack_fake.http import Json, Refusal, Reply, Request, Routes
from tests.lab.openstack_fake.state import State, Token, now

_ROUTES = Routes()
_DOMAIN = {"id": "default", "name": "Default"}
_SERVICES = (
    ("compute", "nova", "/compute/v2.1"),
    ("network", "neutron", "/networking"),
    ("image", "glance", "/image"),
    ("identity", "keystone", "/identity"),
)


def answer(state: State, request: Request) -> Reply:
    """Answer a request below ``/identity``."""
    path = request.path.removeprefix("/identity").rstrip("/") or "/"
    found = _ROUTES.find(request.method, path)
    if isinstance(found, int):
        raise refusal(found, "The resource could not be found.", "Not Found")
    handler, arguments = found
    return handler(state, request, *arguments)


def refusal(status: int, message: str, title: str) -> Refusal:
    """Return an error in keystone's form."""
    return Refusal(status, {"error": {"code": status, "message": message, "title": title}})


def unauthorized() -> Refusal:
    """Return the one answer to every kind of wrong credentials."""
    return refusal(401, "The request you have made requires authentication.", "Unauthorized")


def authenticate(state: State, request: Request) -> None:
    """Set whose a request is, as keystonemiddleware does in each service.

    :raises Refusal: 401: no token, one that has expired or was revoked, one without a project.
    """
    token = state.tokens.get(request.headers.get("x-auth-token", ""))
    if token is None or token.expires <= now() or not token.project:
        raise unauthorized()
    request.project, request.user = token.project, token.user


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")


@_ROUTES.on("GET", "/v3")
def _version(state: State, request: Request) -> Reply:
    return Reply(200, {"version": {"id": "v3.14", "status": "stable"}})


@_ROUTES.on("POST", "/v3/auth/tokens")
def _login(state: State, request: Request) -> Reply:
    identity = _dict(_dict(request.body, "auth"), "identity")
    methods = identity.get("methods")
    if not isinstance(methods, list) or len(methods) != 1 or methods[0] not in _METHODS:
        raise refusal(400, "Expecting to find one known method in identity.", "Bad Request")
    token = _METHODS[methods[0]](state, _dict(identity, methods[0]))
    scope = request.body["auth"].get("scope")
    if scope is not None:
        if token.application_credential:
            raise refusal(400, "Application credentials cannot request a scope.", "Bad Request")
        token.project = _project(state, _dict(scope, "project"))
    return _issue(state, token)


def _dict(value: Any, key: str) -> Json:
    inner = value.get(key) if isinstance(value, dict) else None
    if not isinstance(inner, dict):
        raise refusal(400, f"Expecting to find {key} in the request body.", "Bad Request")
    return inner


def _new(state: State, user: str, method: str, project: str = "") -> Token:
    issued = now()
    return Token(user, project, [method], issued, issued + state.token_life)


def _by_password(state: State, given: Json) -> Token:
    user = _user(state, _dict(given, "user"))
    if given["user"].get("password") != next(secret for one, secret in state.users.values() if one == user):
        raise unauthorized()
    return _new(state, user, "password")


def _by_credential(state: State, given: Json) -> Token:
    if "id" in given:
        found = state.credentials.get(given["id"])
    else:
        user = _user(state, _dict(given, "user"))
        found = next((one for one in state.credentials.values() if (one.name, one.user) == (given["name"], user)), None)
    if found is None and "id" in given:  # measured: one that was deleted is no 401 to keystone 30
        raise refusal(404, f"Could not find Application Credential: {given['id']}.", "Not Found")
    if found is None or found.secret != given.get("secret") or (found.expires and found.expires <= now()):
        raise unauthorized()
    token = _new(state, found.user, "application_credential", found.project)
    token.application_credential = found.id
    if found.expires:
        token.expires = min(token.expires, found.expires)
    return token


def _by_token(state: State, given: Json) -> Token:
    old = state.tokens.get(given.get("id", ""))
    if old is None or old.expires <= now():
        raise unauthorized()
    return Token(old.user, "", [*old.methods, "token"], now(), old.expires)


_METHODS = {"password": _by_password, "application_credential": _by_credential, "token": _by_token}


def _user(state: State, given: Json) -> str:
    if "id" in given:
        if any(one == given["id"] for one, _ in state.users.values()):
            return str(given["id"])
        raise unauthorized()
    domain = given.get("domain", {})
    if domain not in ({"id": "default"}, {"name": "Default"}) or given.get("name") not in state.users:
        raise unauthorized()
    return state.users[given["name"]][0]


def _project(state: State, given: Json) -> str:
    if "id" in given:
        if given["id"] not in state.projects:
            raise unauthorized()
        return str(given["id"])
    if given.get("domain") not in ({"id": "default"}, {"name": "Default"}):
        raise unauthorized()
    for one in state.projects.values():
        if one.name == given.get("name"):
            return one.id
    raise unauthorized()


def _issue(state: State, token: Token) -> Reply:
    name = "gAAAA" + secrets.token_urlsafe(24)
    state.tokens[name] = token
    return Reply(201, {"token": _body(state, token)}, {"X-Subject-Token": name, "Vary": "X-Auth-Token"})


def _body(state: State, token: Token) -> Json:
    user = next(name for name, (one, _) in state.users.items() if one == token.user)
    expires = state.password_expires
    body: Json = {
        "methods": token.methods,
        "user": {
            "domain": _DOMAIN,
            "id": token.user,
            "name": user,
            "password_expires_at": None if expires is None else _stamp(expires),
        },
        "audit_ids": [secrets.token_urlsafe(16)],
        "expires_at": _stamp(token.expires),
        "issued_at": _stamp(token.issued),
    }
    if token.application_credential:
        one = state.credentials[token.application_credential]
        body["application_credential"] = {"id": one.id, "name": one.name, "restricted": True}
    if token.project:
        project = state.projects[token.project]
        body |= {
            "project": {"domain": _DOMAIN, "id": project.id, "name": project.name},
            "roles": [{"id": "9fe2ff9ee4384b1894a90878d3e92bab", "name": "member"}],
            "is_domain": False,
            "catalog": _catalog(state),
        }
    return body


def _catalog(state: State) -> list[Json]:
    def endpoints(path: str) -> list[Json]:
        return [
            {"id": f"{region}-{face}", "interface": face, "region": region, "region_id": region, "url": url}
            for region in state.regions
            for face, url in (("public", state.public_url + path), ("internal", "http://10.255.255.1" + path))
        ]

    return [{"id": name, "type": kind, "name": name, "endpoints": endpoints(path)} for kind, name, path in _SERVICES]


@_ROUTES.on("GET", "/v3/auth/projects")
def _projects(state: State, request: Request) -> Reply:
    token = state.tokens.get(request.headers.get("x-auth-token", ""))
    if token is None or token.expires <= now():
        raise unauthorized()
    name = next(name for name, (one, _) in state.users.items() if one == token.user)
    found = [one for one in state.projects.values() if one.name == name]
    return Reply(200, {"projects": [{"id": one.id, "name": one.name, "domain_id": "default"} for one in found]})


@_ROUTES.on("GET", "/v3/users/{}/application_credentials/{}")
def _credential(state: State, request: Request, user: str, credential: str) -> Reply:
    authenticate(state, request)
    if "identity:get_application_credential" in state.forbidden or user != request.user:
        raise refusal(
            403,
            "You are not authorized to perform the requested action: identity:get_application_credential.",
            "Forbidden",
        )
    one = state.credentials.get(credential)
    if one is None:
        raise refusal(404, f"Could not find Application Credential: {credential}.", "Not Found")
    expires = None if one.expires is None else one.expires.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000000")
    return Reply(200, {"application_credential": {"id": one.id, "name": one.name, "expires_at": expires}})


@_ROUTES.on("POST", "/v3/OS-FEDERATION/identity_providers/{}/protocols/{}/auth")
def _federated(state: State, request: Request, provider: str, protocol: str) -> Reply:
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    user = state.access_tokens.get(bearer)
    if (provider, protocol) != ("egi.eu", "openid"):
        raise refusal(404, f"Could not find Identity Provider: {provider}.", "Not Found")
    if scheme != "Bearer" or user is None:
        raise unauthorized()
    return _issue(state, _new(state, state.users[user][0], "mapped"))
