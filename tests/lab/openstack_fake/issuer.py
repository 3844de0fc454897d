"""An OpenID Connect issuer: it gives access tokens for refresh tokens, and may rotate the latter."""

from __future__ import annotations

import base64
import json
import secrets
import time
from urllib.parse import parse_qs

from tests.lab.openstack_fake.http import Refusal, Reply, Request
from tests.lab.openstack_fake.state import State


def jwt(**claims: object) -> str:
    """Return something that looks like a signed token with these claims."""

    def part(value: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'RS256'})}.{part(claims)}.{secrets.token_urlsafe(32)}"


def answer(state: State, request: Request) -> Reply:
    """Answer ``/oidc/token``."""
    if (request.method, request.path) != ("POST", "/oidc/token"):
        raise Refusal(404, "<html><body>Not Found</body></html>")
    form = {name: values[-1] for name, values in parse_qs(request.raw.decode()).items()}
    if state.client_secret:
        wanted = base64.b64encode(f"clues:{state.client_secret}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {wanted}":
            raise Refusal(401, {"error": "invalid_client", "error_description": "client authentication failed"})
    elif form.get("client_id") != "clues":
        raise Refusal(401, {"error": "invalid_client", "error_description": "who are you"})
    if form.get("grant_type") != "refresh_token":
        raise Refusal(400, {"error": "unsupported_grant_type"})
    refresh = form.get("refresh_token", "")
    if refresh not in state.refresh_tokens:
        raise Refusal(400, {"error": "invalid_grant", "error_description": "Token is not active"})
    access = jwt(exp=int(time.time()) + 3600, sub="alice")
    state.access_tokens[access] = "clues"
    body = {"access_token": access, "token_type": "Bearer", "expires_in": 3600}
    if state.rotates:
        state.refresh_tokens.discard(refresh)
        body["refresh_token"] = secrets.token_urlsafe(24)
        state.refresh_tokens.add(str(body["refresh_token"]))
    return Reply(200, body)
