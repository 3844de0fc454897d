"""User-data is the same bytes for the same claim, and holds what it was given as plain words of sh."""

from __future__ import annotations

import re
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from clues import templates
from clues.bootstrap import agent, user_data
from clues.model import Kind
from tests.unit.bootstrap.lab import Authorities

TICKET = "c0ffee." + "A" * 43


@pytest.fixture(scope="module")
def ca_pem(tmp_path_factory: pytest.TempPathFactory) -> str:
    return Authorities.open(tmp_path_factory.mktemp("ca")).ca_pem


def render(ca_pem: str, ticket: str = TICKET, url: str = "https://10.77.0.1:8443", node: str = "gpu-01") -> str:
    return user_data.render(ca_pem=ca_pem, ticket=ticket, urls=[url, "https://[fd00::1]:8443"], node=node)


def test_the_script_holds_what_it_was_given_and_nothing_is_left_to_fill_in(ca_pem: str, tmp_path: Path) -> None:
    script = render(ca_pem)
    assert script == render(ca_pem)
    head = script[: script.index("root=")]
    (tmp_path / "head").write_text(head + 'printf "%s|" "$ca" "$ticket" "$urls" "$node"\n')
    told = subprocess.run(["sh", tmp_path / "head"], capture_output=True, text=True, check=True).stdout
    assert told.split("|")[:4] == [
        ca_pem.strip(),
        TICKET,
        "https://10.77.0.1:8443 https://[fd00::1]:8443",
        "gpu-01",
    ]


def test_it_is_small_enough_for_every_cloud_also_with_two_authorities_and_routes(ca_pem: str) -> None:
    script = user_data.render(
        ca_pem=ca_pem + ca_pem,
        ticket="c0ffee" * 10 + "." + "A" * 43,
        urls=["https://" + "enrolment.head.example.org" + ":8443"],
        node="x" * 63,
        kind=Kind.ROUTER,
        routes=[("10.77.0.0/16", "10.77.2.9")] * 4,
        dead_man=timedelta(days=3650),
    )
    assert len(script.encode()) < 14000  # EC2's limit is 16384, before base64: what grows belongs to /etc/clues/boot


def test_how_to_choose_among_several_is_sent_to_those_who_have_to(ca_pem: str) -> None:
    several = user_data.render(ca_pem=ca_pem, mates=[TICKET] * 3, urls=["https://[fd00::1]:8443"], node="n")
    assert "choose() {" in several
    assert several.count(TICKET) == 3
    assert "choose() {" not in render(ca_pem)
    checked = subprocess.run(["sh", "-n"], input=several, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_what_is_sent_has_no_comments_and_is_the_same_script(ca_pem: str) -> None:
    script = render(ca_pem)
    assert [line for line in script.splitlines()[1:] if line.lstrip().startswith("#")] == []
    checked = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("route", [("10.77.0.1/16", "10.77.2.9"), ("10.77.0.0/16", "gw"), ("$(reboot)", "10.77.2.9")])
def test_a_route_that_is_none_is_refused(ca_pem: str, route: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="not a route"):
        user_data.render(ca_pem=ca_pem, ticket=TICKET, urls=["https://x"], node="n", routes=[route])


def test_it_begins_as_cloud_init_wants_it(ca_pem: str) -> None:
    assert render(ca_pem).startswith("#!/bin/sh\n")


@pytest.mark.parametrize(
    "wrong",
    [
        {"ca_pem": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"},
        {"ca_pem": ""},
        {"ticket": "$(reboot)"},
        {"ticket": "c0ffee"},
        {"url": "http://10.77.0.1"},
        {"url": "https://10.77.0.1/ -k"},
        {"url": "https://'; reboot"},
        {"node": "a b"},
        {"node": "@ca@"},
        {"node": ""},
    ],
)
def test_what_is_not_of_its_form_is_refused(ca_pem: str, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"^not a "):
        render(**{"ca_pem": ca_pem, **wrong})


def test_a_private_key_or_a_ticket_is_not_quoted_in_the_message(ca_pem: str) -> None:
    for wrong in ({"ticket": "secret words"}, {"ca_pem": "secret words"}):
        with pytest.raises(ValueError) as refusal:
            render(**{"ca_pem": ca_pem, **wrong})
        assert "secret" not in str(refusal.value)


#: every program that runs on a VM, whole
FOLDER = Path(str(templates.folder()))
PROGRAMS = {path.stem: path.read_text() for path in (*FOLDER.glob("*.sh"), *FOLDER.glob("slurm/*.sh"))}
PROGRAMS = {name: text for name, text in PROGRAMS.items() if not name.startswith("agent")} | {"agent": agent.script()}


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_what_runs_on_vms_is_sound_sh(name: str) -> None:
    checked = subprocess.run(
        ["shellcheck", "--shell=sh", "-"], input=PROGRAMS[name], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


#: the programs of ours that call from VMs
SCRIPTS = {"user-data": templates.read("user-data.sh"), "agent": agent.script()}


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_way_around_the_verification_is_in_what_runs_on_vms(name: str) -> None:
    script = re.sub(r"^ *#.*$", "", SCRIPTS[name], flags=re.MULTILINE).replace("\\\n", " ")
    commands = re.findall(r"\bcurl -.*", script)
    assert commands
    for command in commands:
        words = set(command.split())
        if "--proto =http " in command:  # the cloud's own metadata, which knows no TLS; nothing of ours is sent there
            assert '"$metadata/latest/$place"' in command
            assert "tls" not in command
            continue
        assert "--cacert" in words
        assert "--proto =https" in command
        assert not {"-k", "--insecure", "-L", "--location", "--proxy-insecure", "--ssl-no-revoke"} & words
    assert not re.search(r"(^|\s)(-[a-zA-Z]*k|--insecure)(\s|$)", " ".join(commands))
