"""User-data is the same bytes for the same claim, and holds what it was given as plain words of sh."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clues import templates
from clues.bootstrap import user_data
from clues.bootstrap.ca import CaFiles

TICKET = "c0ffee." + "A" * 43


@pytest.fixture(scope="module")
def ca_pem(tmp_path_factory: pytest.TempPathFactory) -> str:
    return CaFiles.open(tmp_path_factory.mktemp("ca"), "x" * 36, datetime(2030, 1, 1, tzinfo=UTC)).ca_pem


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


def test_it_is_small_enough_for_every_cloud(ca_pem: str) -> None:
    assert len(render(ca_pem).encode()) < 16384  # EC2's limit, before base64


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


def test_no_way_around_the_verification_is_in_the_script() -> None:
    script = templates.read("user-data.sh")
    (command,) = re.findall(r"curl -q.*?\)", script, re.DOTALL)
    words = command.split()
    assert "--cacert" in words
    assert not {"-k", "--insecure", "-L", "--location", "--proxy-insecure"} & set(words)
