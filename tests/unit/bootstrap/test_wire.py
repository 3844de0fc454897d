"""What passes between worker and service is of known forms, in both directions, whatever a stranger sends."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clues.bootstrap import wire
from clues.bootstrap.http import Refused, parse_head
from clues.model import Facts, Gpu, Resources
from clues.ports import Provision

NOW = datetime(2030, 1, 1, tzinfo=UTC)
GOOD = {
    "csr": "MIIB" * 60 + "MA==",
    "CPUS": "8",
    "MEMORY_MIB": "30000",
    "GPUS": "a10:1,:2,3",
    "CLOCK": str(int(NOW.timestamp()) + 7),
}


def body(**changes: str) -> bytes:
    return "".join(f"{name}={value}\n" for name, value in {**GOOD, **changes}.items()).encode()


def facts_of(enrolment: wire.Enrolment) -> Facts:
    return wire.make_facts(enrolment.cpus, enrolment.memory_mib, enrolment.gpus, enrolment.clock_skew_seconds)


def test_the_facts_of_a_vm_are_read() -> None:
    enrolment = wire.parse_enrolment(body(), NOW)
    assert (enrolment.csr, enrolment.fingerprint) == (GOOD["csr"], "")
    assert facts_of(enrolment) == Facts(8, 30000, Resources(gpus=(Gpu("", 5), Gpu("a10", 1))), 7.0)


def test_a_router_tells_the_fingerprint_of_its_certificate_for_shortcuts() -> None:
    print_ = ":".join(["A7"] * 32)
    assert wire.parse_enrolment(body(fingerprint=print_), NOW).fingerprint == print_
    assert wire.parse_enrolment(body(fingerprint=""), NOW).fingerprint == ""


def test_no_gpus_are_no_gpus() -> None:
    assert facts_of(wire.parse_enrolment(body(GPUS=""), NOW)).gpus == Resources()


@pytest.mark.parametrize(
    "wrong",
    [
        {"csr": ""},
        {"csr": "MIIB\tMA=="},
        {"csr": "=MIIB"},
        {"csr": "A" * 5000},
        {"fingerprint": ":".join(["a7"] * 32)},
        {"fingerprint": ":".join(["A7"] * 31)},
        {"fingerprint": "x"},
        {"CPUS": "-1"},
        {"CPUS": "8.5"},
        {"CPUS": "٨"},
        {"CPUS": " 8"},
        {"CPUS": ""},
        {"MEMORY_MIB": "1e9"},
        {"GPUS": "a10:x"},
        {"GPUS": "a10:1,"},
        {"GPUS": "a 10:1"},
        {"CLOCK": "nan"},
        {"CLOCK": "1" * 20},
        {"EXTRA": "1"},
        {"CPUS": "8\nCPUS=9"},
    ],
)
def test_a_malformed_fact_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        wire.parse_enrolment(body(**wrong), NOW)


@pytest.mark.parametrize("missing", GOOD)
def test_a_missing_fact_is_refused(missing: str) -> None:
    lines = [line for line in body().decode().splitlines() if not line.startswith(missing)]
    with pytest.raises(ValueError, match=f"{missing} is missing"):
        wire.parse_enrolment("\n".join(lines).encode(), NOW)


@given(st.binary() | st.text("=\nCPUSnoce0123456789,:a").map(str.encode))
@example(body() * 2)
@example(body() + b"\n")
def test_garbage_is_a_value_error_and_nothing_else(data: bytes) -> None:
    with pytest.raises(ValueError):
        wire.parse_enrolment(data, NOW)


@given(st.text(max_size=5000))
@example("x" * 5000)
def test_a_report_is_short_and_cannot_steer_a_terminal(words: str) -> None:
    kind, told = wire.parse_report(f"failed\n{words}".encode("utf-8", "surrogatepass"))
    assert kind == "failed"
    assert len(told) <= wire.LONGEST_WORD
    assert all(letter == "\n" or letter.isprintable() for letter in told)
    assert not set(told) & set("\x1b\r\x07\x08\x7f\x9b\u202e\u2028\u2066\ufeff")


@given(st.binary())
def test_a_report_of_another_kind_is_refused(data: bytes) -> None:
    if data.partition(b"\n")[0].decode("latin1") not in wire.REPORTS:
        with pytest.raises(ValueError):
            wire.parse_report(data)


@given(st.binary())
@example(b"POST / HTTP/1.1\r\n" + b"A: " + b" " * 8000 + b"\x01\r\n\r\n")
@example(b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n")
def test_a_head_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(Refused):
        assert 0 <= parse_head(data, largest_body=100).length <= 100


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Content-Length: 1\r\nContent-Length: 2\r\n", 400),
        (b"Content-Length: 1\r\ncontent-length: 1\r\n", 400),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", 411),
        (b"Content-Length: 1, 1\r\n", 411),
        (b"Content-Length: +1\r\n", 411),
        (b"Content-Length: 101\r\n", 413),
        (b"Content-Length : 1\r\n", 400),
        (b"A: b\r\n c\r\nContent-Length: 1\r\n", 400),
    ],
)
def test_a_head_that_could_be_read_in_two_ways_is_refused(headers: bytes, status: int) -> None:
    with pytest.raises(Refused) as refusal:
        parse_head(b"POST / HTTP/1.1\r\n" + headers + b"\r\n", largest_body=100)
    assert refusal.value.status == status


@pytest.mark.parametrize("text", ["", "Ticket", "Ticket ", "Bearer x", "Ticket a b", "Ticket a\n", "Ticket é"])
def test_another_authorization_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        wire.parse_ticket(text)


MOUNT = ("10.77.0.1:/home", "/home", "nfs4", "hard")


@pytest.mark.parametrize(
    "given",
    [
        Provision((("/etc/passwd", 0o644, b"x"),)),
        Provision((("/etc/slurm/../passwd", 0o644, b"x"),)),
        Provision((("/etc/slurm/a b", 0o644, b"x"),)),
        Provision((("/etc/slurm/a", 0o4755, b"x"),)),
        Provision((("/etc/clues/tls/a/b", 0o644, b"x"),)),
        Provision((("/etc/systemd/system/ssh.service", 0o644, b"x"),)),
        Provision((("/etc/systemd/system/clues-/../ssh.service", 0o644, b"x"),)),
        Provision((("/etc/openvpn/server.conf", 0o644, b"x"),)),
        Provision(settings={"PATH": "/tmp"}),
        Provision(settings={"TIME": "0"}),
        Provision(settings={"SLURMD_OPTIONS": '-N "x"'}),
        Provision(settings={"SLURMD_OPTIONS": "-N x\nservice sshd"}),
        Provision(settings={"HOSTNAME": "a_b"}),
        Provision(settings={"TUNNEL": "tun0"}),
        Provision(services=("munge --force",)),
        Provision(services=("../munge",)),
        Provision(mounts=(("10.77.0.1:/home /x", *MOUNT[1:]),)),
        *(
            Provision(mounts=((MOUNT[0], target, *MOUNT[2:]),))
            for target in (
                "/",
                "/etc",
                "/etc/slurm",
                "/usr/local",
                "home",
                "/home/../etc",
                "/home//x",
                "/lib64",
                "/var/x",
            )
        ),
        Provision(mounts=((*MOUNT[:2], "nfs4 -o", MOUNT[3]),)),
        Provision(mounts=((*MOUNT[:3], "hard;reboot"),)),
    ],
)
def test_an_answer_that_the_script_would_refuse_is_not_made(given: Provision) -> None:
    with pytest.raises(ValueError) as refusal:
        wire.encode_answer(given, NOW)
    assert '"x"' not in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ("", "nosuid,nodev"),
        ("hard,vers=4.2", "hard,vers=4.2,nosuid,nodev"),
        ("suid,dev,ro", "ro,nosuid,nodev"),
        ("nosuid,ro,nodev", "ro,nosuid,nodev"),
    ],
)
def test_a_mount_brings_neither_set_user_ids_nor_devices(options: str, sent: str) -> None:
    answer = wire.encode_answer(Provision(mounts=((*MOUNT[:3], options),)), NOW)
    assert f"mount 10.77.0.1:/home /home nfs4 {sent}" in answer.decode().splitlines()


def test_an_answer_counts_its_lines_and_mounts_before_slurmd_starts() -> None:
    files = (("/etc/munge/munge.key", 0o400, b"\0\1"), ("/etc/slurm/x.conf", 0o644, b""))
    services = ("munge", "slurmd", "clues-agent")
    answer = wire.encode_answer(Provision(files, {"HOSTNAME": "gpu-01"}, services, mounts=(MOUNT,)), NOW)
    assert answer.decode().splitlines() == [
        "clues 1",
        "file 0400 /etc/munge/munge.key AAE=",
        "file 0644 /etc/slurm/x.conf",
        f"set TIME {int(NOW.timestamp())}",
        "set HOSTNAME gpu-01",
        "service munge",
        "mount 10.77.0.1:/home /home nfs4 hard,nosuid,nodev",
        "service slurmd",
        "service clues-agent",
        "end 9",
    ]


@given(st.binary())
def test_a_renewal_is_one_request_or_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert data.decode().removeprefix("csr=").removesuffix("\n") == wire.parse_renewal(data)


def test_a_hundred_thousand_malformed_requests_are_refused_with_typed_errors() -> None:
    """Good requests with a few bytes changed, dropped or doubled: what is left is read or refused, and nothing else."""
    chance = random.Random(1)
    head = b"POST /v1/enrol HTTP/1.1\r\nAuthorization: Ticket a.b\r\nContent-Length: 12\r\n\r\n"
    seeds: list[tuple[bytes, Callable[[bytes], object]]] = [
        (body(), lambda data: wire.parse_enrolment(data, NOW)),
        (b"csr=MIIBAAAA\n", wire.parse_renewal),
        (b"failed\nno driver\n", wire.parse_report),
        (head, lambda data: parse_head(data, largest_body=100)),
    ]
    refused = 0
    for number in range(100_000):
        good, parse = seeds[number % len(seeds)]
        data = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            match chance.randrange(4):
                case 0:
                    data[at] = chance.randrange(256)
                case 1:
                    del data[at : at + chance.randint(1, 20)]
                case 2:
                    data[at:at] = data[at : at + chance.randint(1, 40)]
                case _:
                    data[at:at] = chance.randbytes(chance.randint(1, 8))
            data = data or bytearray(b"=")
        try:
            parse(bytes(data))
        except (ValueError, Refused):
            refused += 1
    assert refused > 50_000


# --- what a VM reports ------------------------------------------------------------------------------------------------


def test_the_notices_of_a_spot_vm_are_read() -> None:
    words = "terminate 2026-11-29T10:04:00Z\nrebalance 2026-11-29T10:00:00Z"
    assert wire.parse_spot(words) == (
        wire.SpotNotice("terminate", datetime(2026, 11, 29, 10, 4, tzinfo=UTC)),
        wire.SpotNotice("rebalance", datetime(2026, 11, 29, 10, 0, tzinfo=UTC)),
    )


@given(st.text() | st.text("terminaebl -:0123456789TZ\n"))
@example("terminate 2026-13-29T10:04:00Z")
@example("terminate 2026-11-29T29:04:00Z")
@example("terminate 2026-11-29T10:04:00")
@example("terminate 2026-11-29T10:04:00+00:00")
@example("reboot 2026-11-29T10:04:00Z")
@example("terminate  2026-11-29T10:04:00Z")
@example("terminate ٢026-11-29T10:04:00Z")
@example("terminate 2026-11-29T10:04:00Z\n\n")
@example("terminate 2026-11-29T10:04:00Z\x0cstop 2026-11-29T10:04:00Z\nx")
@example("stop 2026-11-29T10:04:00Z\n" * 5)
def test_other_words_are_no_notices(words: str) -> None:
    with pytest.raises(ValueError):
        wire.parse_spot(words)


def test_how_hooks_have_ended_is_read() -> None:
    words = "hook zfs 0.4 0\nwarning no nft\nhook apps 60.1 124 it had not ended after 60 s\ngpu 1 x NVIDIA A10"
    assert wire.parse_started(words) == wire.Started(
        hooks=(
            wire.HookRun("zfs", 0.4, 0),
            wire.HookRun("apps", 60.1, 124, "it had not ended after 60 s"),
        ),
        warnings=("no nft",),
        others=("gpu 1 x NVIDIA A10",),
    )
    assert wire.parse_started("") == wire.Started()


@given(st.text() | st.text("hok warnig.0123\n"))
@example("hook a 1.0 0 " + "x" * 5000)
@example("hook ../x 1.0 0")
@example("hook a nan 0")
@example("hook a 1.0 -1")
def test_whatever_a_vm_says_when_it_has_started_is_taken_for_words(words: str) -> None:
    started = wire.parse_started(words)
    assert all(run.seconds < 10**6 and 0 <= run.code < 1000 for run in started.hooks)


KEYS = ",".join("SHA256:" + letter * 43 for letter in "AB")


def test_host_keys_come_as_fingerprints_or_not_at_all() -> None:
    enrolment = wire.parse_enrolment(body(HOST_KEYS=KEYS), NOW)
    assert enrolment.host_keys == tuple(KEYS.split(","))
    assert wire.parse_enrolment(body(HOST_KEYS=""), NOW).host_keys == ()
    assert wire.parse_enrolment(body(), NOW).host_keys == ()
    assert wire.make_facts(8, 1024, "", 0.0, enrolment.host_keys).host_keys == enrolment.host_keys


@pytest.mark.parametrize(
    "wrong",
    [
        "SHA256:" + "A" * 42,
        "SHA256:" + "A" * 44,
        "MD5:" + "A" * 43,
        "SHA256:" + "A" * 42 + "-",
        KEYS + ",",
        KEYS.replace(",", " "),
        ",".join(["SHA256:" + "A" * 43] * 17),
        "SHA256:" + "A" * 42 + "\u0660",
    ],
)
def test_host_keys_of_another_form_are_refused(wrong: str) -> None:
    with pytest.raises(ValueError):
        wire.parse_enrolment(body(HOST_KEYS=wrong), NOW)
    with pytest.raises(ValueError):
        wire.make_facts(8, 1024, "", 0.0, wrong.split(","))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLURMD_RELEASES", "22.05.8"),
        ("SLURMD_RELEASES", "22.05.8 22.05; reboot"),
        ("SLURMD_RELEASES", "22.05.8\nservice sshd 22.05"),
        ("SLURM_PROGRAMS", "relative"),
        ("SLURM_PROGRAMS", "/a $(reboot)"),
        ("SLURM_PROGRAMS", "/a\nservice sshd"),
        ("LIMIT", "0"),
        ("LIMIT", "-1"),
        ("LIMIT", "1e9"),
    ],
)
def test_a_setting_of_another_form_is_not_sent(name: str, value: str) -> None:
    with pytest.raises(ValueError):
        wire.encode_answer(Provision(settings={name: value}), NOW)


@pytest.mark.parametrize("path", ["/etc/clues/hooks/../agent", "/etc/clues/hooks/a/b", "/etc/clues/hooks/.x"])
def test_a_hook_has_its_place(path: str) -> None:
    with pytest.raises(ValueError):
        wire.encode_answer(Provision(((path, 0o700, b"#!"),)), NOW)
    wire.encode_answer(Provision((("/etc/clues/hooks/01-x", 0o700, b"#!"),)), NOW)
