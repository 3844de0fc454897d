"""schemathesis sends the API what nobody would think of, from its own description, and holds the answers against it.

The app is the one that other machines reach: with a door, so that it is also seen that nothing is answered without a
token. Waits and streams end at once, as in a daemon that stops; what is sent is the same each time.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from threading import Event
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from clues.api.app import make_app
from clues.api.buckets import Rate
from clues.api.limiter import Limiter
from clues.api.oidc.door import TokenDoor
from clues.api.oidc.keys import KeyCache
from clues.api.oidc.verifier import Verifier
from clues.config.api_values import Oidc
from clues.model import SshWay
from tests.unit.api.issuer import EC, Issuer
from tests.unit.api.joined import joined, make_ca
from tests.unit.api.memory_control import MemoryControl, explain
from tests.unit.builders import NOW, ago, make_claim, make_note

ISSUER = Issuer("https://iam.example.org/")
#: What a description cannot say of its operations: a name has to be known, a CA to be there.
EXAMPLES = 12


def make() -> FastAPI:
    """Return an app with something to tell at each route."""
    control = MemoryControl(replace(joined(), ticks=7))
    control.ca, control.uses = make_ca(), []
    control.add(*(make_note(number, "gpu-01") for number in range(1, 9)))
    control.trial_claims = [make_claim("gpu-01")]
    control.ended_claims = {
        "gpu-01": [make_claim("gpu-01", generation=number, launched_at=ago(hours=1)) for number in (2, 1)]
    }
    control.ssh = SshWay("gpu-01", "gpu-01-1", "10.77.2.11", ("ssh-ed25519 AAAA",), "root", "/etc/clues/ssh", 22)
    stopping = Event()
    stopping.set()
    oidc = Oidc(ISSUER.url, ("clues",), ("clues",), ("ES256",), operators=(("wlcg.groups", "/clues/admins"),))
    known = [{**EC.as_dict(private=False), "kid": "ec"}]
    verifier = Verifier(oidc, KeyCache(lambda: known, time.monotonic, 60), time.time)
    door: Any = partial(TokenDoor, verifier=lambda: verifier)
    limiter = Limiter(Rate(1e6, 10**6), 10**6)
    return make_app(
        control, explain, lambda _: (b"up 1\n", "text/plain"), now=lambda: NOW, stopping=stopping, door=door,
        limiter=limiter,
    )  # fmt: skip


HEADERS = {"Authorization": f"Bearer {ISSUER.token(alg='ES256', kid='ec', key=EC)}", "Host": "front.example.org"}
#: What the description can only name: what such a text is like.
FORMATS: dict[str, st.SearchStrategy[str]] = {
    "hostlist": st.sampled_from(["gpu-01", "cpu-[001-002]", "router-upv", "no-such-node", "a,b"]),
    "name": st.sampled_from(["gpu-01", "cpu-001", "router-upv", "4242", "gpu", "upv", "nobody"]),
    "moment": st.sampled_from(["", "2026-01", "2026-01-31", "2026-01-31T08:00", "2026-01-31T08:00:00+02:00"]),
    "later-moment": st.sampled_from(["", "2026-04", "2026-02-28T08:00"]),
    "change": st.sampled_from(["gpu.idle=1h", "sites.aws.limits.gpus=16"]),
    "cursor": st.just(""),
}
for name, texts in FORMATS.items():
    schemathesis.openapi.format(name, texts)
with pytest.MonkeyPatch.context() as patched:
    patched.setattr("clues.api.oidc.door._BAD_TOKENS", Rate(1e6, 10**6))
    SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", make(), headers=HEADERS)


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
def test_whatever_is_sent_is_answered_as_described(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(headers=HEADERS)
