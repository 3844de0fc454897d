"""The daemon itself over TCP: taken up by a reload, orders that outlive a kill, and the log of who gave them."""

from __future__ import annotations

import http.client
import json
import signal
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cluster import Cluster
from tests.lab.frontend import free_port
from tests.unit.api.issuer import EC, Issuer, make_certificate

pytestmark = pytest.mark.real

ISSUER = Issuer("https://iam.example.org/")


class Outside:
    """Another machine, with a token."""

    def __init__(self, port: int, ca: Path) -> None:
        self.port, self.ca = port, ca

    def ask(self, method: str, path: str, body: Any = None, key: str = "", **claims: Any) -> tuple[int, dict[str, Any]]:
        """Make one call, until the daemon answers at all."""
        context = ssl.create_default_context(cafile=str(self.ca))
        headers = {"Authorization": f"Bearer {ISSUER.token(alg='ES256', kid='ec', key=EC, **claims)}"}
        headers |= {"Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})}
        ends = time.monotonic() + 30
        while True:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=20)
            try:
                connection.request(method, path, None if body is None else json.dumps(body), headers)
                answer = connection.getresponse()
                told = answer.status, json.loads(answer.read())
                if told[0] != 503 or time.monotonic() > ends:
                    return told
            except ConnectionRefusedError:
                assert time.monotonic() < ends
            finally:
                connection.close()
            time.sleep(0.2)


def test_orders_by_token_outlive_the_daemon_and_are_told_to_whom_it_concerns(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [{**EC.as_dict(private=False), "kid": "ec"}]}))
    outside = Outside(free_port("127.0.0.1"), certificate)
    api = {
        "listen": f"127.0.0.1:{outside.port}",
        "certificate_file": str(certificate),
        "key_file": str(key),
        "oidc": {
            "issuer": ISSUER.url,
            "audience": "clues",
            "scope": "clues",
            "algorithms": "ES256",
            "jwks_file": str(jwks),
            "roles": {"operator": "wlcg.groups=/clues/admins", "reader": "wlcg.groups=/clues"},
        },
    }
    with Cluster(tmp_path / "cluster") as cluster:
        cluster.write_config(api=api)
        cluster.signal_daemon(signal.SIGHUP)
        site = cluster.get("sites")["sites"][0]["name"]
        begin = datetime.now(UTC) + timedelta(days=1)
        window = {"site": site, "begin": begin.isoformat(), "end": (begin + timedelta(hours=2)).isoformat()}
        first = outside.ask("POST", "/v1/maintenance", window, "k1")
        assert first[0] == 200, first
        assert outside.ask("POST", "/v1/pause", None, "k2", **{"wlcg.groups": ["/clues"]})[0] == 403
        paused = outside.ask("POST", "/v1/pause", None, "k2")
        assert paused[1]["who"] == "73f16d93@iam.example.org"

        cluster.stop_daemon(signal.SIGKILL)
        cluster.start_daemon()

        assert outside.ask("POST", "/v1/maintenance", window, "k1") == first
        assert outside.ask("POST", "/v1/pause", None, "k2") == paused
        assert outside.ask("POST", "/v1/resume", None, "k2")[0] == 409
        assert len(cluster.get("maintenance")["maintenance"]) == 1
        deeds = cluster.get("audit")["deeds"]
        assert [(one["act"], one["way"], one["status"]) for one in deeds] == [
            ("POST /v1/resume", "token", 409),
            ("POST /v1/pause", "token", 200),
            ("POST /v1/pause", "token", 403),
            ("POST /v1/maintenance", "token", 200),
        ]
        assert {one["identity"] for one in deeds} == {f"73f16d93 at {ISSUER.url}"}
        assert sum("clues.audit" in line for line in cluster.daemon_log(10_000).splitlines()) == 4
