"""What a VM gets, in the order in which it needs it; and what the agent is told is words of sh and nothing else."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.bootstrap import agent, provision, wire
from clues.model import Kind
from clues.ports import Provision, Secret
from tests.unit.builders import NOW, make_claim

LRMS = Provision(services=("munge", "slurmd"), secrets=(Secret("munge", "/etc/munge/munge.key", 0o400),))
OVERLAY = Provision(files=(("/etc/openvpn/clues/client.conf", 0o600, b"x"),))
AGENT = Provision(services=("clues-agent",))
MOUNTS = (("10.77.0.1:/home", "/home", "nfs4", "nosuid"),)


def test_a_workers_agent_starts_last() -> None:
    whole = provision.whole(make_claim(), LRMS, Provision(), AGENT, MOUNTS)
    assert whole.services == ("munge", "slurmd", "clues-agent")
    assert whole.mounts == MOUNTS
    assert "TUNNEL" not in whole.settings


def test_with_a_tunnel_of_its_own_the_agent_starts_first_and_the_worker_waits_for_its_address() -> None:
    whole = provision.whole(make_claim(tunnel="10.77.252.10"), LRMS, OVERLAY, AGENT, MOUNTS)
    assert whole.services == ("clues-agent", "munge", "slurmd")
    assert whole.settings["TUNNEL"] == "10.77.252.10"
    assert whole.secrets == LRMS.secrets


def test_a_router_gets_nothing_of_the_batch_system_and_no_share() -> None:
    whole = provision.whole(make_claim(kind=Kind.ROUTER, tunnel="10.77.252.10"), LRMS, OVERLAY, AGENT, MOUNTS)
    assert (whole.services, whole.secrets, whole.mounts) == (("clues-agent",), (), ())
    assert "TUNNEL" not in whole.settings


def test_the_agents_files_are_taken_by_a_vm_and_its_settings_are_words_of_sh() -> None:
    made = agent.agent(
        urls=["https://[fd00::1]:8443", "https://head.example.org:8443"],
        node="router-upv",
        kind=Kind.ROUTER,
        routes=[("10.77.0.0/16", "10.77.2.9")],
        hostname=True,
    )
    wire.encode_answer(made, NOW)
    files = {path: (mode, content) for path, mode, content in made.files}
    assert files["/etc/clues/agent"][0] == 0o755
    assert files["/etc/clues/agent"][1].startswith(b"#!/bin/sh")
    script = files["/etc/clues/agent.conf"][1].decode() + 'printf "%s|" "$URLS" "$NODE" "$KIND" "$ROUTES"\n'
    told = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=True).stdout
    assert told.split("|")[:4] == [
        "https://[fd00::1]:8443 https://head.example.org:8443",
        "router-upv",
        "router",
        "10.77.0.0/16 10.77.2.9",
    ]
    assert b"ExecStart=/etc/clues/agent\n" in files["/etc/systemd/system/clues-agent.service"][1]
    assert made.settings == {"HOSTNAME": "router-upv"}


def test_what_is_sent_to_the_signer_comes_back_as_it_was() -> None:
    whole = provision.whole(make_claim(tunnel="10.77.252.10"), LRMS, OVERLAY, AGENT, MOUNTS)
    assert provision.from_wire(provision.to_wire(whole)) == whole


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.sampled_from(["files", "settings", "services", "secrets", "mounts"]), json_values))
def test_garbage_is_a_value_error_and_nothing_else(raw: dict[str, Any]) -> None:
    try:
        provision.from_wire(raw)
    except ValueError:
        return
    assert {"files", "settings", "services", "mounts"} <= set(raw)


@pytest.mark.parametrize("content", ["%%%", "AAA", 7])
def test_a_file_that_is_not_base64_is_refused(content: object) -> None:
    raw = provision.to_wire(OVERLAY) | {"files": [["/etc/slurm/x", 420, content]]}
    with pytest.raises(ValueError):
        provision.from_wire(raw)
