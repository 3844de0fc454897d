"""The API over TCP: nobody without a good token of the one issuer, whatever the token says of itself."""

from __future__ import annotations

import base64
import hmac
import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from clues.api.app import make_app
from clues.api.buckets import Rate
from clues.api.limiter import Limiter
from clues.api.outside import Outside
from clues.config import Endpoint
from clues.config.api_values import Api, Listening, Oidc
from clues.errors import ConfigError
from clues.model import Wish
from tests.unit.api.issuer import EC, RSA, Issuer, make_certificate, serve_issuer
from tests.unit.api.memory_control import MemoryControl, explain
from tests.unit.api.test_privacy import picture
from tests.unit.builders import NOW
from tests.unit.cli.running import clues

#: in the group of those who may look alone
READER: dict[str, Any] = {"wlcg.groups": ["/clues"]}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Out:
    """A daemon's API over TCP with TLS, and its issuer."""

    issuer: Issuer
    control: MemoryControl
    outside: Outside
    api: Api
    certificate: Path
    troubles: dict[str, str]

    @property
    def listening(self) -> Listening:
        assert self.api.listening is not None
        return self.api.listening

    def ask(self, token: str | None, target: str = "/v1/jobs", method: str = "GET", **headers: str) -> tuple[int, Any]:
        context = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection("127.0.0.1", self.listening.endpoint.port, context=context, timeout=20)
        try:
            told = {"Authorization": f"Bearer {token}"} if token is not None else {}
            connection.request(method, target, headers={**told, **headers})
            answer = connection.getresponse()
            self.last = answer.headers
            body = answer.read()
            return answer.status, json.loads(body) if body.startswith((b"{", b"[")) else body
        finally:
            connection.close()

    def change(self, **changes: Any) -> None:
        """Take up another configuration of the issuer."""
        listening = replace(self.listening, oidc=replace(self.listening.oidc, **changes))
        self.api = replace(self.api, listening=listening)
        self.outside.use(self.api)


@pytest.fixture(scope="module")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Out]:
    folder = tmp_path_factory.mktemp("oidc")
    with serve_issuer(folder) as issuer, pytest.MonkeyPatch.context() as patched:
        patched.setattr("clues.api.audit._RATE", Rate(1000, 1000))  # every attack is looked for in the log
        control, troubles = MemoryControl(picture("jobs")), dict[str, str]()
        limiter = Limiter(Rate(1000, 1000), 2)
        certificate, key = make_certificate(folder, "api")
        oidc = Oidc(issuer.url, ("clues",), ("clues",), ca_file=issuer.ca)
        listening = Listening(Endpoint("127.0.0.1", free_port()), oidc, certificate, str(key))
        api = Api(listening, 1000, 1000, 2)
        make = partial(make_app, control, explain, lambda _: (b"up 1\n", "text/plain"), now=lambda: NOW)
        outside = Outside(
            api, partial(make, limiter=limiter), limiter, lambda name, text: troubles.update({name: text})
        )
        outside.begin()
        assert troubles == {"api": ""}
        try:
            yield Out(issuer, control, outside, api, certificate, troubles)
        finally:
            outside.stop()


@pytest.fixture
def out(_running: Out) -> Out:
    """A fresh daemon and issuer: each test changes the issuer's configuration, so that no key is known yet."""
    _running.control.__init__(picture("jobs"))  # type: ignore[misc]
    issuer = _running.issuer
    issuer.keys, issuer.instead, issuer.document = {"rsa": RSA, "ec": EC}, None, {}
    _running.change(leeway=timedelta(seconds=0))
    _running.change(
        leeway=timedelta(seconds=5),
        refresh=timedelta(seconds=60),
        algorithms=("RS256", "ES256"),
        operators=(("wlcg.groups", "/clues/admins"),),
        readers=(("wlcg.groups", "/clues"),),
        user_claim="preferred_username",
        jwks_file=None,
    )
    issuer.asked.clear()
    return _running


# --- who is let in -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alg", "kid", "key"), [("RS256", "rsa", RSA), ("ES256", "ec", EC)])
def test_a_good_token_opens_the_door(out: Out, alg: str, kid: str, key: Any) -> None:
    assert out.ask(out.issuer.token(alg=alg, kid=kid, key=key))[0] == 200


def test_an_operator_acts_in_the_name_of_the_token(out: Out) -> None:
    status, body = out.ask(out.issuer.token(), "/v1/pause", "POST")
    assert (status, body["who"]) == (200, "73f16d93@127.0.0.1")
    (deed,) = out.control.records
    assert (deed.way, deed.identity) == ("token", f"73f16d93 at {out.issuer.url}")


def test_a_reader_does_not_act_and_that_is_written_down(out: Out) -> None:
    status, body = out.ask(out.issuer.token(**READER), "/v1/pause", "POST")
    assert (status, out.control.pauses) == (403, [])
    assert "the role operator" in body["detail"]
    assert [(one.status, one.act) for one in out.control.records] == [(403, "POST /v1/pause")]


def test_a_reader_sees_what_a_user_unknown_to_slurm_would(out: Out) -> None:
    assert out.ask(out.issuer.token(**READER))[1]["jobs"] == []
    alice = out.issuer.token(**READER, preferred_username="alice")
    assert [job["id"] for job in out.ask(alice)[1]["jobs"]] == ["1"]
    assert len(out.ask(out.issuer.token())[1]["jobs"]) == 3


@pytest.mark.parametrize("name", ["a stranger", "", "root\n", ["alice"], {"alice": 1}, "Alice", "../alice", None])
def test_a_claim_that_is_no_users_name_is_nobody(out: Out, name: Any) -> None:
    token = out.issuer.token(**READER, preferred_username=name)
    assert out.ask(token)[1]["jobs"] == []


@pytest.mark.parametrize(
    ("operators", "claims"),
    [
        (("groups", "admins"), {"groups": ["users", "admins"]}),
        (("groups", "admins"), {"groups": "admins"}),
        (("eduperson_entitlement", "urn:geant:x:group:y#z"), {"eduperson_entitlement": ["urn:geant:x:group:y#z"]}),
        (("scope", "clues.operate"), {"scope": "clues openid clues.operate"}),
    ],
)
def test_roles_come_from_the_claims_of_many_providers(out: Out, operators: Any, claims: dict[str, Any]) -> None:
    out.change(operators=(operators,), readers=())
    assert out.ask(out.issuer.token(**claims), "/v1/pause", "POST")[0] == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"wlcg.groups": []},
        {"wlcg.groups": None},
        {"wlcg.groups": "/clues/admins /clues"},
        {"wlcg.groups": ["/clues/admins/not", "/CLUES"]},
        {"wlcg.groups": {"/clues": True}},
        {"wlcg.groups": [["/clues"]]},
    ],
)
def test_a_token_without_a_role_gets_nothing(out: Out, claims: dict[str, Any]) -> None:
    assert out.ask(out.issuer.token(**claims))[0] == 403


# --- attacks ---------------------------------------------------------------------------------------------


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unsigned(issuer: Issuer, alg: str) -> str:
    return f"{b64(json.dumps({'alg': alg, 'kid': 'rsa'}).encode())}.{b64(json.dumps(issuer.claims()).encode())}."


def hs256_with_the_public_key(issuer: Issuer) -> str:
    """Return one made by hand, since no library takes a public key for a secret any more."""
    head = b64(json.dumps({"alg": "HS256", "kid": "rsa"}).encode())
    signed = f"{head}.{b64(json.dumps(issuer.claims()).encode())}"
    return f"{signed}.{b64(hmac.digest(RSA.as_pem(private=False), signed.encode(), 'sha256'))}"


def of_another(issuer: Issuer, **header: Any) -> str:
    key = RSAKey.generate_key(2048, private=True)
    told = {"alg": "RS256", **({"jwk": key.as_dict(private=False)} if header.pop("with_key", False) else {}), **header}
    return jwt.encode(told, issuer.claims(), key, algorithms=["RS256"])


def by_hand(issuer: Issuer, header: dict[str, Any]) -> str:
    """Return a token that the issuer signs without looking at its header."""
    head = b64(json.dumps({"alg": "RS256", "kid": "rsa", **header}).encode())
    signed = f"{head}.{b64(json.dumps(issuer.claims()).encode())}"
    assert RSA.private_key is not None
    return f"{signed}.{b64(RSA.private_key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def test_a_header_field_that_need_not_be_understood_is_ignored(out: Out) -> None:
    assert out.ask(by_hand(out.issuer, {"x-of-theirs": 1}))[0] == 200


def with_more_rights(issuer: Issuer) -> str:
    head, _, signature = issuer.token(**READER).split(".")
    return f"{head}.{b64(json.dumps(issuer.claims()).encode())}.{signature}"


ATTACKS: dict[str, Any] = {
    "alg none": lambda issuer: unsigned(issuer, "none"),
    "alg None": lambda issuer: unsigned(issuer, "None"),
    "no alg": lambda issuer: f"{b64(b'{}')}.{b64(json.dumps(issuer.claims()).encode())}.",
    "HS256 with the public key": hs256_with_the_public_key,
    "an algorithm that is not pinned": lambda issuer: issuer.token(alg="RS512"),
    "an algorithm of another kind of key": lambda issuer: issuer.token(alg="ES256", kid="rsa", key=EC),
    "another's key under a known id": lambda issuer: of_another(issuer, kid="rsa"),
    "another's key, brought along": lambda issuer: of_another(issuer, kid="rsa", with_key=True),
    "a key that is not known": lambda issuer: of_another(issuer, kid="mine"),
    "no key id": lambda issuer: issuer.token(kid=None),
    "a key id that is a path": lambda issuer: of_another(issuer, kid="../../dev/null"),
    "a key of an address": lambda issuer: of_another(issuer, jku="https://evil.example/jwks", kid="mine"),
    "what must be understood": lambda issuer: by_hand(issuer, {"crit": ["exp"], "exp": 1}),
    "another audience": lambda issuer: issuer.token(aud="slurm"),
    "no audience": lambda issuer: issuer.token(aud=None),
    "audience in part": lambda issuer: issuer.token(aud=["clues2", "xclues"]),
    "another issuer": lambda issuer: issuer.token(iss="https://evil.example"),
    "an issuer with a slash more": lambda issuer: issuer.token(iss=f"{issuer.url}/"),
    "no issuer": lambda issuer: issuer.token(iss=None),
    "expired": lambda issuer: issuer.token(exp=int(time.time()) - 60),
    "no end": lambda issuer: issuer.token(exp=None),
    "an endless end": lambda issuer: issuer.token(exp=float("inf")),
    "an end in words": lambda issuer: issuer.token(exp="2099"),
    "not yet": lambda issuer: issuer.token(nbf=int(time.time()) + 60),
    "issued in the future": lambda issuer: issuer.token(iat=int(time.time()) + 60),
    "nobody's": lambda issuer: issuer.token(sub=None),
    "a subject that is none": lambda issuer: issuer.token(sub=["root"]),
    "more rights than were signed": with_more_rights,
    "claims that are a list": lambda issuer: f"{issuer.token().split('.')[0]}.{b64(b'[]')}.x",
    "encrypted": lambda issuer: "a.b.c.d.e",
    "nothing": lambda issuer: "",
    "rubbish": lambda issuer: "x",
    "very long": lambda issuer: issuer.token(fill="x" * 20_000),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_token_that_is_not_good_opens_nothing(out: Out, name: str) -> None:
    status, body = out.ask(ATTACKS[name](out.issuer), "/v1/pause", "POST")
    assert (status, out.control.pauses) == (401, []), body
    assert out.last["WWW-Authenticate"].startswith("Bearer")
    (deed,) = out.control.records
    assert (deed.who, deed.identity, deed.status) == ("nobody at 127.0.0.1", "", 401)


def test_a_refusal_tells_nothing_of_the_token(out: Out) -> None:
    token = out.issuer.token(aud="slurm")
    _, body = out.ask(token)
    assert token.split(".")[1] not in json.dumps(body) + repr(out.control.records)
    assert "aud" in body["detail"]


@pytest.mark.parametrize("scope", ["openid", "clues.read", "xclues", None, ["openid"]])
def test_the_scope_is_needed(out: Out, scope: Any) -> None:
    status, body = out.ask(out.issuer.token(scope=scope))
    assert (status, "lacks the scope clues" in body["detail"]) == (403, True)
    assert 'error="insufficient_scope"' in out.last["WWW-Authenticate"]


@pytest.mark.parametrize(
    "path", ["/v1/status", "/metrics", "/openapi.json", "/v1/openapi.json", "/", "/page/page.js", "/nowhere"]
)
def test_without_a_token_there_is_nothing_at_all(out: Out, path: str) -> None:
    assert out.ask(None, path)[0] == 401


@pytest.mark.parametrize("way", ["access_token={}", "x=1&access_token={}", "token={}"])
def test_a_token_in_the_url_is_refused_even_beside_a_good_one(out: Out, way: str) -> None:
    token = out.issuer.token()
    status, body = out.ask(token, f"/v1/status?{way.format(token)}")
    assert (status, body["title"]) == (400, "Token in the URL")


def speak(out: Out, text: str) -> bytes:
    """Return the first that is answered to *text* over TLS."""
    context = ssl.create_default_context(cafile=str(out.certificate))
    with (
        socket.create_connection(("127.0.0.1", out.listening.endpoint.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        tls.sendall(text.encode())
        return tls.recv(4096)


def test_two_tokens_are_none(out: Out) -> None:
    lines = [f"Authorization: Bearer {one}" for one in ("x", out.issuer.token())]
    said = "\r\n".join(["GET /v1/jobs HTTP/1.1", "Host: x", "Connection: close", *lines, "", ""])
    assert speak(out, said).split()[1] == b"401"


def test_who_sends_bad_tokens_without_end_is_not_listened_to(out: Out) -> None:
    def move(port: int) -> None:
        out.api = replace(out.api, listening=replace(out.listening, endpoint=Endpoint("127.0.0.1", port)))
        out.outside.use(out.api)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("clues.api.oidc.door._BAD_TOKENS", Rate(0.001, 3))
        move(free_port())
        assert [out.ask("x")[0] for _ in range(5)] == [401, 401, 401, 429, 429]
    move(free_port())
    assert out.ask(out.issuer.token())[0] == 200


# --- keys ------------------------------------------------------------------------------------------------


def test_keys_are_asked_for_once(out: Out) -> None:
    for _ in range(3):
        assert out.ask(out.issuer.token())[0] == 200
    assert out.issuer.asked == ["/.well-known/openid-configuration", "/jwks"]


def test_a_new_key_of_the_issuer_is_found_but_not_asked_for_without_end(out: Out) -> None:
    out.change(refresh=timedelta(seconds=0.5))
    assert out.ask(out.issuer.token())[0] == 200
    fresh = ECKey.generate_key("P-256", private=True)
    out.issuer.keys = {"new": fresh}
    token = out.issuer.token(alg="ES256", kid="new", key=fresh)
    asked = len(out.issuer.asked)
    assert [out.ask(out.issuer.token(alg="ES256", kid="new", key=fresh))[0] for _ in range(1)] == [401]
    assert len(out.issuer.asked) == asked  # too soon
    deadline = time.monotonic() + 10
    while out.ask(token)[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert out.ask(out.issuer.token())[0] == 401  # the old key is gone
    assert len(out.issuer.asked) <= asked + 4


@pytest.mark.parametrize(
    "plight",
    [
        {"instead": (503, b"")},
        {"instead": (302, b"")},
        {"instead": (200, b"<html>")},
        {"instead": (200, b"[]")},
        {"instead": (200, b'{"keys": []}')},
        {"document": {"issuer": "https://evil.example"}},
        {"document": {"jwks_uri": "http://127.0.0.1/jwks"}},
        {"document": {"jwks_uri": "https://127.0.0.1:1/jwks"}},
        {"keys": {}},
    ],
    ids=str,
)
def test_an_issuer_that_cannot_be_asked_lets_nobody_in_and_the_reason_is_told(out: Out, plight: dict[str, Any]) -> None:
    for name, value in plight.items():
        setattr(out.issuer, name, value)
    status, body = out.ask(out.issuer.token(), "/v1/pause", "POST")
    assert (status, out.control.pauses, out.last["Retry-After"]) == (503, [], "1")
    assert "issuer" in body["detail"] or out.issuer.url in body["detail"] or "127.0.0.1" in body["detail"]


def test_an_issuer_with_a_certificate_of_nobody_is_not_believed(out: Out, tmp_path: Path) -> None:
    other, _ = make_certificate(tmp_path, "other")
    out.change(ca_file=other)
    try:
        assert out.ask(out.issuer.token())[0] == 503
    finally:
        out.change(ca_file=out.issuer.ca)


def test_keys_may_stand_in_a_file(out: Out, tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [{**EC.as_dict(private=False), "kid": "ec"}]}))
    out.change(jwks_file=file)
    assert out.ask(out.issuer.token(alg="ES256", kid="ec", key=EC))[0] == 200
    assert out.issuer.asked == []


# --- the way ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "works"),
    [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)],
)
def test_tls_is_new(out: Out, version: ssl.TLSVersion, works: bool) -> None:
    context = ssl.create_default_context(cafile=str(out.certificate))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", out.listening.endpoint.port), timeout=10) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
                assert tls.version() in ("TLSv1.2", "TLSv1.3")
                assert works
        except ssl.SSLError:
            assert not works


def test_without_tls_there_is_no_answer(out: Out) -> None:
    with socket.create_connection(("127.0.0.1", out.listening.endpoint.port), timeout=10) as plain:
        plain.sendall(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP/1.1 2" not in plain.recv(4096)


def test_a_connection_that_says_nothing_is_closed(out: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clues.api.oidc.listener._PATIENCE_SECONDS", 0.2)
    assert speak(out, "GET /v1/status HTTP/1.1\r\nHost: loc") == b""


def test_a_new_certificate_is_taken_up_without_a_new_socket(out: Out, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "renewed")
    before = out.api
    out.api = replace(out.api, listening=replace(out.listening, certificate=certificate, key=str(key)))
    out.outside.use(out.api)
    old, out.certificate = out.certificate, certificate
    assert out.ask(out.issuer.token())[0] == 200
    out.outside.use(before)
    out.api, out.certificate = before, old
    assert out.ask(out.issuer.token())[0] == 200


def test_a_certificate_that_cannot_be_used_changes_nothing(out: Out, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        out.outside.use(replace(out.api, listening=replace(out.listening, certificate=tmp_path / "none.pem")))
    assert out.ask(out.issuer.token())[0] == 200


def test_a_key_that_everybody_can_read_is_not_used(out: Out, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "open")
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        out.outside.use(replace(out.api, listening=replace(out.listening, certificate=certificate, key=str(key))))
    assert out.ask(out.issuer.token())[0] == 200


def test_an_address_that_is_taken_leaves_the_old_one(out: Out) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = Endpoint("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(ConfigError, match="cannot be listened on"):
            out.outside.use(replace(out.api, listening=replace(out.listening, endpoint=endpoint)))
    assert out.ask(out.issuer.token())[0] == 200


def test_one_may_follow_so_many_times(out: Out) -> None:
    context = ssl.create_default_context(cafile=str(out.certificate))
    headers = {"Authorization": f"Bearer {out.issuer.token()}"}
    opened = []
    for _ in range(2):
        one = http.client.HTTPSConnection("127.0.0.1", out.listening.endpoint.port, context=context, timeout=20)
        one.request("GET", "/v1/stream", headers=headers)
        assert one.getresponse().status == 200
        opened.append(one)
    assert out.ask(out.issuer.token(), "/v1/stream")[0] == 429
    assert out.ask(out.issuer.token(), "/v1/jobs")[0] == 200
    for one in opened:
        one.close()


# --- the command line -------------------------------------------------------------------------------------


def token_file(folder: Path, text: str, mode: int = 0o600) -> str:
    file = folder / "token"
    file.write_text(text)
    file.chmod(mode)
    return str(file)


def run(out: Out, *words: str, token: str, **more: str) -> Any:
    url = f"https://127.0.0.1:{out.listening.endpoint.port}"
    return clues(*words, CLUES_SERVER=url, CLUES_TOKEN_FILE=token, **{"CLUES_CA_FILE": str(out.certificate), **more})


def test_the_command_uses_it(out: Out, tmp_path: Path) -> None:
    file = token_file(tmp_path, out.issuer.token() + "\n")
    assert run(out, "jobs", "-o", "name", token=file).out.split() == ["1", "2"]
    assert run(out, "drain", "cpu-1", token=file).code == 0
    assert out.control.orders == [(("cpu-1",), Wish.DRAIN, "73f16d93@127.0.0.1")]


def test_the_command_tells_why_it_is_refused(out: Out, tmp_path: Path) -> None:
    result = run(out, "jobs", token=token_file(tmp_path, out.issuer.token(exp=1)))
    assert (result.code, result.err) == (4, "clues: the token has expired\n")


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        ("x", 0o644, "others may read"),
        ("", 0o600, "one token"),
        ("two words", 0o600, "one token"),
        ("é", 0o600, "no token"),
    ],
)
def test_a_token_file_that_cannot_be_right_is_not_sent(
    out: Out, tmp_path: Path, text: str, mode: int, told: str
) -> None:
    result = run(out, "jobs", token=token_file(tmp_path, text, mode))
    assert (result.code, told in result.err) == (1, True), result
    assert out.control.records == []


@pytest.mark.parametrize(
    "url", ["http://front.example:8444", "front.example:8444", "https://u:p@host", "https://host/v1", "https://[::1"]
)
def test_a_token_is_sent_by_https_alone(out: Out, tmp_path: Path, url: str) -> None:
    result = clues("jobs", CLUES_SERVER=url, CLUES_TOKEN_FILE=token_file(tmp_path, "x"))
    assert (result.code, result.err.startswith("clues: CLUES_SERVER: ")) == (2, True), result


def test_a_server_with_a_certificate_of_nobody_gets_no_token(out: Out, tmp_path: Path) -> None:
    other, _ = make_certificate(tmp_path, "other")
    result = run(out, "jobs", token=token_file(tmp_path, out.issuer.token()), CLUES_CA_FILE=str(other))
    assert (result.code, "certificate" in result.err.lower()) == (3, True), result
