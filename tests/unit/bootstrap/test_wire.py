"""What passes between worker and service is of known forms, in both directions, whatever a stranger sends."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clues.bootstrap import wire
from clues.bootstrap.http import Refused, parse_head
from clues.model import Facts, Gpu, Resources
from clues.ports import WorkerSecrets

NOW = datetime(2030, 1, 1, tzinfo=UTC)
GOOD = {
    "nonce": "ab" * 16,
    "CPUS": "8",
    "MEMORY_MIB": "30000",
    "GPUS": "a10:1,:2,3",
    "CLOCK": str(int(NOW.timestamp()) + 7),
}


def body(**changes: str) -> bytes:
    return "".join(f"{name}={value}\n" for name, value in {**GOOD, **changes}.items()).encode()


def test_the_facts_of_a_worker_are_read() -> None:
    nonce, facts = wire.parse_enrolment(body(), NOW)
    assert nonce == "ab" * 16
    assert facts == Facts(8, 30000, Resources(gpus=(Gpu("", 5), Gpu("a10", 1))), 7.0)


def test_no_gpus_are_no_gpus() -> None:
    assert wire.parse_enrolment(body(GPUS=""), NOW)[1].gpus == Resources()


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "AB" * 16},
        {"nonce": "ab"},
        {"nonce": ""},
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
    if data.partition(b"\n")[0] not in (b"started", b"failed"):
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


@pytest.mark.parametrize(
    "secrets",
    [
        WorkerSecrets((("/etc/passwd", 0o644, b"x"),), {}, ()),
        WorkerSecrets((("/etc/slurm/../passwd", 0o644, b"x"),), {}, ()),
        WorkerSecrets((("/etc/slurm/a b", 0o644, b"x"),), {}, ()),
        WorkerSecrets((("/etc/slurm/a", 0o4755, b"x"),), {}, ()),
        WorkerSecrets((), {"PATH": "/tmp"}, ()),
        WorkerSecrets((), {"SLURMD_OPTIONS": '-N "x"'}, ()),
        WorkerSecrets((), {"SLURMD_OPTIONS": "-N x\nservice sshd"}, ()),
        WorkerSecrets((), {"HOSTNAME": "a_b"}, ()),
        WorkerSecrets((), {}, ("munge --force",)),
        WorkerSecrets((), {}, ("../munge",)),
    ],
)
def test_an_answer_that_the_script_would_refuse_is_not_made(secrets: WorkerSecrets) -> None:
    with pytest.raises(ValueError) as refusal:
        wire.encode_answer(secrets)
    assert '"x"' not in str(refusal.value)


def test_an_answer_counts_its_lines() -> None:
    files = (("/etc/munge/munge.key", 0o400, b"\0\1"), ("/etc/slurm/x.conf", 0o644, b""))
    answer = wire.encode_answer(WorkerSecrets(files, {"HOSTNAME": "gpu-01"}, ("munge",)))
    assert answer.decode().splitlines() == [
        "clues 1",
        "file 0400 /etc/munge/munge.key AAE=",
        "file 0644 /etc/slurm/x.conf",
        "set HOSTNAME gpu-01",
        "service munge",
        "end 5",
    ]
