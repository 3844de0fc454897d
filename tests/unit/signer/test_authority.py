"""An authority is made once, kept private, never replaced unasked, and handed over in steps."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from clues.bootstrap import secret_file
from clues.bootstrap.trust import TrustStore
from clues.errors import ConfigError, Transient
from clues.signer import public_file
from clues.signer.authority import LEAD, Authority
from tests.unit.signer.lab import CLUSTER, NOW


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., Authority]:
    def open_it(now: datetime = NOW, cluster: str = CLUSTER) -> Authority:
        return Authority.open(tmp_path / "signer", tmp_path / "trust", cluster, now)

    return open_it


def test_it_is_the_same_after_a_restart_years_later(begin: Callable[..., Authority]) -> None:
    first = begin()
    assert begin(NOW + timedelta(days=3000)).bundle() == first.bundle()


def test_it_lives_ten_years_and_can_only_sign(begin: Callable[..., Authority]) -> None:
    certificate = begin().issuer(1).certificate
    assert certificate.not_valid_after_utc > NOW + timedelta(days=3650)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert usage.crl_sign
    assert not usage.digital_signature


def test_what_is_secret_is_ours_alone_and_what_is_public_is_for_all(
    begin: Callable[..., Authority], tmp_path: Path
) -> None:
    old = os.umask(0o077)
    try:
        begin()
    finally:
        os.umask(old)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes["ca-1.key"] == modes["authority.json"] == 0o600
    assert modes["trust"] == 0o755
    assert modes["ca.pem"] == 0o644


def test_a_key_that_others_could_read_is_refused(begin: Callable[..., Authority], tmp_path: Path) -> None:
    begin()
    (tmp_path / "signer" / "ca-1.key").chmod(0o640)
    with pytest.raises(ConfigError, match="0640"):
        begin()


@pytest.mark.parametrize("name", ["ca-1.key", "ca-1.pem"])
def test_a_file_that_is_missing_is_told_and_not_made_anew(
    begin: Callable[..., Authority], tmp_path: Path, name: str
) -> None:
    begin()
    (tmp_path / "signer" / name).unlink()
    with pytest.raises(ConfigError, match="restore"):
        begin()


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"form":1,"trusted":[],"changed_at":"x"}'])
def test_a_damaged_state_is_told(begin: Callable[..., Authority], tmp_path: Path, content: bytes) -> None:
    begin()
    (tmp_path / "signer" / "authority.json").write_bytes(content)
    with pytest.raises(ConfigError, match="restore"):
        begin()


def test_after_a_rotation_the_lost_state_is_not_made_up(begin: Callable[..., Authority], tmp_path: Path) -> None:
    begin().add(NOW)
    (tmp_path / "signer" / "authority.json").unlink()
    with pytest.raises(ConfigError, match="restore"):
        begin()


def test_key_and_certificate_that_do_not_belong_together_are_told(
    begin: Callable[..., Authority], tmp_path: Path
) -> None:
    begin()
    other = Authority.open(tmp_path / "other", tmp_path / "other-trust", CLUSTER, NOW)
    assert other.signing == 1
    (tmp_path / "other" / "ca-1.key").replace(tmp_path / "signer" / "ca-1.key")
    with pytest.raises(ConfigError, match="does not belong"):
        begin()


def test_the_folder_of_another_cluster_is_told(begin: Callable[..., Authority]) -> None:
    begin()
    with pytest.raises(ConfigError, match="another cluster"):
        begin(cluster="d2c0a3f0-0000-4000-8000-000000000001")


def test_a_crash_at_the_first_start_leaves_what_the_next_one_finishes(
    begin: Callable[..., Authority], tmp_path: Path
) -> None:
    begin()
    (tmp_path / "signer" / "authority.json").unlink()
    (tmp_path / "signer" / "ca-1.pem").unlink()
    assert begin().signing == 1


def test_each_step_changes_what_is_published(begin: Callable[..., Authority], tmp_path: Path) -> None:
    authority, path = begin(), tmp_path / "trust" / "ca.pem"
    seen = [path.read_text()]
    for step in (lambda now: authority.add(now), authority.switch, authority.drop):
        step(NOW)
        assert path.read_text() == authority.bundle()
        seen.append(path.read_text())
    first, second = seen[0], seen[3]
    assert seen == [first, first + second, second + first, second]
    assert first != second
    assert not (tmp_path / "signer" / "ca-1.key").exists()
    assert begin().signing == 2


def test_a_launch_that_is_repeated_finds_the_same_authorities(begin: Callable[..., Authority], tmp_path: Path) -> None:
    trust = TrustStore(tmp_path / "trust")
    with pytest.raises(Transient, match="start clues-signer"):
        trust.bundle_at(NOW)
    authority = begin()
    seen: dict[datetime, str] = {}

    def launch(now: datetime) -> None:
        seen[now] = trust.bundle_at(now)

    day = timedelta(days=1)
    for now in (NOW - day, NOW, NOW + day):
        launch(now)
    authority.add(NOW + day)  # at that very moment: the launch above came first
    launch(NOW + day + LEAD / 2)
    launch(NOW + day + LEAD + timedelta(seconds=1))
    authority.switch(NOW + 2 * day)
    launch(NOW + 3 * day)
    authority.drop(NOW + 4 * day)
    launch(NOW + 5 * day)
    begin(NOW + 6 * day)
    assert {now: trust.bundle_at(now) for now in seen} == seen
    assert len(set(seen.values())) == 4


def test_a_crash_before_a_step_is_published_is_made_good(
    begin: Callable[..., Authority], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, path = begin(), tmp_path / "trust" / "ca.pem"

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(public_file, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            authority.add(NOW)
    assert path.read_text().count("BEGIN CERTIFICATE") == 1
    assert begin().bundle() == path.read_text()
    assert path.read_text().count("BEGIN CERTIFICATE") == 2


def test_an_authority_that_was_never_trusted_before_a_crash_is_used_by_the_next_try(
    begin: Callable[..., Authority], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = begin()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(secret_file, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            authority.add(NOW)
    found = begin()
    assert found.rotation.trusted == (1,)
    assert found.add(NOW) == 2
