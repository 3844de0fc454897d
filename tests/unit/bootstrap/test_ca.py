"""The authority stays the same for ten years; the service's certificate is young, and good for its names only."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from clues.bootstrap.ca import CaFiles
from clues.errors import ConfigError

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
NAMES = ["10.77.0.1", "head.example.org", "fd00::1"]


@pytest.fixture
def ca(tmp_path: Path) -> CaFiles:
    return CaFiles.open(tmp_path / "state", "cluster-uuid", NOW)


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_authority_is_the_same_after_a_restart_years_later(ca: CaFiles) -> None:
    assert CaFiles.open(ca.folder, "cluster-uuid", NOW + timedelta(days=3000)).ca_pem == ca.ca_pem


def test_the_authority_lives_ten_years_and_can_only_sign(ca: CaFiles) -> None:
    certificate = load(ca.folder / "ca.pem")
    assert certificate.not_valid_after_utc - NOW > timedelta(days=3650)
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert stat.S_IMODE((ca.folder / "ca.key").stat().st_mode) == 0o600


def test_the_leaf_is_short_lived_for_servers_only_and_names_its_addresses(ca: CaFiles) -> None:
    path = ca.server_leaf(NAMES, NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    leaf = load(path)
    leaf.verify_directly_issued_by(load(ca.folder / "ca.pem"))
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= timedelta(days=30)
    assert leaf.not_valid_before_utc <= NOW - timedelta(hours=1)
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name) for name in names.get_values_for_type(x509.IPAddress)] == ["10.77.0.1", "fd00::1"]
    assert names.get_values_for_type(x509.DNSName) == ["head.example.org"]


@pytest.mark.parametrize(
    ("age", "names", "kept"),
    [
        (timedelta(0), NAMES, True),
        (timedelta(days=16), NAMES, True),
        (timedelta(days=19), NAMES, False),
        (timedelta(days=-2), NAMES, False),
        (timedelta(0), NAMES[:1], False),
    ],
)
def test_the_leaf_is_kept_while_it_is_young_and_made_for_these_names(
    ca: CaFiles, age: timedelta, names: list[str], kept: bool
) -> None:
    first = ca.server_leaf(NAMES, NOW).read_bytes()
    assert (ca.server_leaf(names, NOW + age).read_bytes() == first) is kept


def test_a_leaf_that_is_damaged_or_of_another_authority_is_made_anew(ca: CaFiles, tmp_path: Path) -> None:
    other = CaFiles.open(tmp_path / "other", "other", NOW).server_leaf(NAMES, NOW)
    for content in (b"", b"nonsense", other.read_bytes()):
        (ca.folder / "enrolment.pem").unlink(missing_ok=True)
        (ca.folder / "enrolment.pem").touch(0o600)
        (ca.folder / "enrolment.pem").write_bytes(content)
        load(ca.server_leaf(NAMES, NOW)).verify_directly_issued_by(load(ca.folder / "ca.pem"))


def test_a_crash_between_key_and_certificate_is_made_good(tmp_path: Path) -> None:
    CaFiles.open(tmp_path, "cluster", NOW)
    (tmp_path / "ca.pem").unlink()
    CaFiles.open(tmp_path, "cluster", NOW).server_leaf(NAMES, NOW)


def test_key_and_certificate_that_do_not_belong_together_are_told(ca: CaFiles, tmp_path: Path) -> None:
    (ca.folder / "ca.key").unlink()
    with pytest.raises(ConfigError, match=r"is missing while ca\.pem is there"):
        CaFiles.open(ca.folder, "cluster", NOW)
    CaFiles.open(tmp_path / "other", "cluster", NOW)
    (tmp_path / "other" / "ca.key").rename(ca.folder / "ca.key")
    with pytest.raises(ConfigError, match=r"does not belong to ca\.key"):
        CaFiles.open(ca.folder, "cluster", NOW)


def test_a_key_that_others_could_read_is_refused(ca: CaFiles) -> None:
    (ca.folder / "ca.key").chmod(0o640)
    with pytest.raises(ConfigError, match="mode is 0640"):
        CaFiles.open(ca.folder, "cluster", NOW)


def test_an_authority_that_has_ended_is_told(ca: CaFiles) -> None:
    with pytest.raises(ConfigError, match="ended on 2039"):
        CaFiles.open(ca.folder, "cluster", NOW + timedelta(days=3700))


@pytest.mark.parametrize("name", ["héad", ""])
def test_a_name_that_is_none_is_told(ca: CaFiles, name: str) -> None:
    with pytest.raises(ConfigError):
        ca.server_leaf([name] if name else [], NOW)
