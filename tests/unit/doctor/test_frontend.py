"""What the doctor finds on the machine itself."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clues import rpc
from clues.config import OVERLAYS, Hook
from clues.doctor import frontend, listening
from clues.doctor.clock import ask_kernel, examine_clock
from clues.errors import LrmsError
from clues.model import Attach, Finding, Soundness
from clues.registry import find_plugins
from tests.unit.api.serving import serve, short_folder
from tests.unit.bootstrap.lab import Authorities
from tests.unit.builders import haggled
from tests.unit.doctor.front import loaded, tls_server
from vrouter.addressing import HostRoute

GOOD, BAD, UNKNOWN = Soundness.GOOD, Soundness.BAD, Soundness.UNKNOWN


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


def verdicts(found: Iterator[Finding]) -> dict[str, list[Soundness]]:
    """Return the verdicts by topic; whatever is bad has a cure."""
    told: dict[str, list[Soundness]] = {}
    for one in found:
        assert one.cure or one.soundness is not BAD, one
        told.setdefault(one.topic, []).append(one.soundness)
    return told


# --- the daemon ------------------------------------------------------------------------------------------------------


def test_a_daemon_that_does_not_run_is_told_with_the_way_to_start_it(folder: Path) -> None:
    (found,) = frontend.examine_daemon(str(folder / "clues.sock"))
    assert (found.soundness, "systemctl start cluesd" in found.cure) == (BAD, True)


def test_a_daemon_that_runs_tells_its_troubles_and_what_it_could_not_look_at() -> None:
    with serve(haggled()) as api:
        found = list(frontend.examine_daemon(str(api.path)))
    assert found[0].soundness is GOOD
    texts = [one.text for one in found if one.soundness is BAD]
    assert "aws: throttled, again in 40 s" in texts
    assert "site aws: its credentials end in 20 h" in texts


# --- the signer and its CA -------------------------------------------------------------------------------------------


def status(_: Any, __: int) -> dict[str, str]:
    return {}


def test_without_a_signer_nothing_of_it_is_good(folder: Path) -> None:
    assert verdicts(frontend.examine_signer(loaded(folder))) == {"signer": [BAD], "CA": [BAD]}


def test_a_signer_that_answers_and_a_young_ca_are_good(folder: Path) -> None:
    configuration = loaded(folder)
    Authorities.open(folder / "state")
    server = rpc.Server(configuration.places.signer_socket, {"status": status}, users=[os.geteuid()])
    server.start()
    try:
        assert verdicts(frontend.examine_signer(configuration)) == {"signer": [GOOD], "CA": [GOOD]}
    finally:
        server.stop()


def certificate(days: float) -> bytes:
    """Return a CA's certificate that ends in so many days."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=900)).not_valid_after(now + timedelta(days=days))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(("days", "found"), [(400, GOOD), (30, BAD), (-1, BAD)])
def test_a_ca_that_ends_soon_is_bad(folder: Path, days: float, found: Soundness) -> None:
    configuration = loaded(folder)
    configuration.places.trust.mkdir(parents=True)
    (configuration.places.trust / "ca.pem").write_bytes(certificate(days))
    assert verdicts(frontend.examine_signer(configuration))["CA"] == [found]


@pytest.mark.parametrize(("hours", "found"), [(5, GOOD), (-1, BAD)])
def test_a_revocation_list_that_has_ended_is_bad(folder: Path, hours: float, found: Soundness) -> None:
    configuration, now = loaded(folder), datetime.now(UTC)
    configuration.places.trust.mkdir(parents=True)
    (configuration.places.trust / "ca.pem").write_bytes(certificate(400))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
    made = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(now - timedelta(days=1))
    made = made.next_update(now + timedelta(hours=hours))
    crl = made.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    configuration.places.crl.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
    assert verdicts(frontend.examine_signer(configuration))["revocations"] == [found]


# --- ports -----------------------------------------------------------------------------------------------------------


def test_an_enrolment_front_of_this_cluster_is_good(folder: Path) -> None:
    with tls_server(Authorities.open(folder / "state").server_leaf()) as port:
        (found,) = listening.examine_enrolment(loaded(folder, port))
    assert (found.topic, found.soundness) == (f"port tcp/{port}", GOOD)


def test_what_listens_there_and_is_not_of_this_cluster_is_bad(folder: Path) -> None:
    Authorities.open(folder / "state")
    with tls_server(Authorities.open(folder / "other").server_leaf()) as port:
        (found,) = listening.examine_enrolment(loaded(folder, port))
    assert found.soundness is BAD
    assert "no certificate of this cluster" in found.text


def test_where_nobody_listens_no_vm_can_enrol(folder: Path) -> None:
    Authorities.open(folder / "state")
    (found,) = listening.examine_enrolment(loaded(folder, 1))
    assert (found.soundness, "clues-enrol" in found.cure) == (BAD, True)


def test_a_central_point_listens_where_the_kernel_says_that_somebody_does(tmp_path: Path) -> None:
    table = tmp_path / "udp"
    table.write_text(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer\n"
        " 1150: 00000000:04AA 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 17 2 00000000 0\n"
    )
    found = list(listening.examine_udp([("hub", 1194), ("spare", 1195)], [table, tmp_path / "none"]))
    assert [(one.topic, one.soundness) for one in found] == [("port udp/1194", GOOD), ("port udp/1195", BAD)]


# --- clock, Slurm, overlay, disk -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "found"), [((0, 0x2001, 900), GOOD), ((5, 0x40, 16_000_000), BAD), ((0, 0x40, 1), BAD)]
)
def test_a_clock_that_nobody_keeps_is_bad(answer: tuple[int, int, int], found: Soundness) -> None:
    (clock,) = examine_clock(lambda: answer)
    assert (clock.soundness, bool(clock.cure)) == (found, found is BAD)


def test_a_kernel_that_does_not_tell_is_not_good() -> None:
    def refuses() -> tuple[int, int, int]:
        raise OSError(1, "Operation not permitted")

    (clock,) = examine_clock(refuses)
    assert clock.soundness is UNKNOWN


def test_this_kernel_answers_without_being_set() -> None:
    answer, _, error = ask_kernel()
    assert 0 <= answer <= 5
    assert error >= 0


class Slurm:
    def __init__(self, *differences: str, error: LrmsError | None = None) -> None:
        self.differences, self.error = list(differences), error

    def examine(self, uid: int) -> list[Finding]:
        if self.error:
            raise self.error
        return [Finding("rights", GOOD if uid == os.getuid() else BAD, str(uid), "cure")]

    def check_config(self, _: object) -> list[str]:
        if self.error:
            raise self.error
        return self.differences


def test_each_difference_of_slurms_configuration_is_told_but_not_hundreds(folder: Path) -> None:
    configuration = loaded(folder)
    assert verdicts(frontend.examine_slurm(Slurm(), configuration)) == {"slurm": [GOOD]}  # type: ignore[arg-type]
    away = Slurm(error=LrmsError("slurmctld is away"))
    assert verdicts(frontend.examine_slurm(away, configuration)) == {"slurm": [BAD]}  # type: ignore[arg-type]
    found = list(frontend.examine_slurm(Slurm(*map(str, range(300))), configuration))  # type: ignore[arg-type]
    assert len(found) < 20
    assert "more differences" in found[-1].text


def test_slurm_is_asked_whether_it_obeys_who_owns_the_daemons_folder(folder: Path) -> None:
    assert verdicts(frontend.examine_rights(Slurm(), folder)) == {"rights": [GOOD]}  # type: ignore[arg-type]
    before_its_start = frontend.examine_rights(Slurm(), folder / "state")  # type: ignore[arg-type]
    assert verdicts(before_its_start) == {"rights": [UNKNOWN]}
    away = Slurm(error=LrmsError("slurmctld is away"))
    assert verdicts(frontend.examine_rights(away, folder)) == {"rights": [UNKNOWN]}  # type: ignore[arg-type]


def test_a_range_that_clashes_with_a_route_of_this_machine_is_bad(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = loaded(folder)
    overlay = find_plugins()[OVERLAYS]["openvpn"]
    remote = configuration.settings.sites["here"]
    config = overlay.Config(network="10.203.0.0/16", public="front.example.org")
    sites = {"here": remote, "upv": replace(remote, name="upv", attach=Attach.DIRECT, network="")}
    settings = replace(configuration.settings, sites=sites)
    configuration = replace(configuration, overlay=("openvpn", config), settings=settings)
    for device, found in (("docker0", BAD), ("", GOOD)):
        routes = (HostRoute(ipaddress.ip_network("10.203.252.0/24"), device),) if device else ()
        monkeypatch.setattr("vrouter.plugin.read_routes", lambda _, routes=routes: routes)
        assert set(verdicts(frontend.examine_overlay(overlay, configuration, ""))["overlay"]) == {found}
    assert list(overlay.listens(config, settings)) == [("hub", 1194)]


def test_a_full_disk_is_bad(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdicts(frontend.examine_state(folder)) == {"state": [GOOD]}
    assert verdicts(frontend.examine_state(folder / "none")) == {"state": [UNKNOWN]}
    full = os.statvfs_result((4096, 4096, 10**6, 10, 10, 1, 1, 1, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    assert verdicts(frontend.examine_state(folder)) == {"state": [BAD]}


# --- hooks ------------------------------------------------------------------------------------------------------------


def test_hooks_that_no_worker_could_be_given_are_told(tmp_path: Path) -> None:
    (tmp_path / "good").write_text("#!/bin/sh\n")
    (tmp_path / "bad").write_text("echo\n")
    good, bad, gone = (Hook(name, tmp_path / name, timedelta(seconds=5)) for name in ("good", "bad", "gone"))
    assert verdicts(frontend.examine_hooks([good])) == {"hooks": [GOOD]}
    assert verdicts(frontend.examine_hooks([good, bad, gone])) == {"hooks": [BAD, BAD]}
    assert verdicts(frontend.examine_hooks([])) == {}
