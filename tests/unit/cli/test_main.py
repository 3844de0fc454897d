"""The command as its user meets it: exit codes, one line for whatever goes wrong, and no traceback, ever."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from clues.api import wire
from clues.api.codec import encode
from clues.errors import CluesError, InvalidRequest
from clues.model import Claim, ClaimState, Deed, SpentRow, Wish
from tests.unit.api.joined import joined, make_ca
from tests.unit.api.serving import Api, serve, short_folder
from tests.unit.builders import NOW, ago, make_claim, make_note
from tests.unit.cli.running import PROGRAM, Result, clues, environment


@pytest.fixture(scope="module")
def _served() -> Iterator[Api]:
    with serve(joined()) as served:
        yield served


@pytest.fixture
def api(_served: Api) -> Api:
    _served.control.__init__(joined())  # type: ignore[misc]
    _served.control.ca = make_ca()
    return _served


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


# --- reading ---------------------------------------------------------------------------------------------

READING = (
    ["status"],
    ["nodes"],
    ["jobs"],
    ["sites"],
    ["offers"],
    ["offers", "gpu", "upv"],
    ["events"],
    ["explain", "gpu-01"],
    ["history", "gpu-01"],
    ["audit"],
    ["cost", "--by", "month,account", "--since", "2026-03"],
    ["logs", "gpu-01"],
    ["logs", "gpu-01", "--ssh"],
    ["plan"],
    ["plan", "--what-if", "sites.aws.limits.gpus=16", "--without", "upv"],
    ["vrouter", "status"],
    ["vrouter", "ca", "status"],
    ["version"],
)


@pytest.mark.parametrize("command", READING, ids=" ".join)
@pytest.mark.parametrize("form", ["table", "wide", "json", "yaml", "name"])
def test_every_command_has_every_form(api: Api, command: list[str], form: str) -> None:
    api.control.add(make_note())
    api.control.ended_claims["gpu-01"] = [make_claim("gpu-01", launched_at=NOW)]
    api.control.records = [Deed("alice", "uid 1000", "socket", "POST /v1/pause")]
    api.control.spent_rows = [SpentRow(ago(hours=1), "gpu", "aws", "", 2.5)]
    result = clues(*command, "-o", form, socket=api.path)
    assert (result.code, result.err) == (0, "")
    if form == "json":
        assert json.loads(result.out)["apiVersion"] == "v1"
    elif form == "yaml":
        assert yaml.safe_load(result.out)["apiVersion"] == "v1"
    else:
        assert result.out.strip()


def test_money_comes_as_rows_for_a_spreadsheet(api: Api) -> None:
    api.control.spent_rows = [
        SpentRow(ago(hours=1), "gpu", "aws", 'a "b", c', 2.5),
        SpentRow(ago(hours=1), "", "aws", "", 0.25),
    ]
    result = clues("cost", "--by", "month,account", "--since", "2026-03-01", "-o", "csv", socket=api.path)
    assert (result.code, result.err) == (0, "")
    assert list(csv.reader(result.out.splitlines())) == [
        ["month", "account", "amount", "currency"],
        ["2026-03", 'a "b", c', "2.5000", "EUR"],
        ["2026-03", "", "0.2500", "EUR"],
    ]


def test_a_maintenance_is_announced_listed_and_cancelled(api: Api) -> None:
    made = clues("maintenance", "aws", "--from", "2026-03-03T08:00Z", "--to", "+4h", "--ahead", "2d", socket=api.path)
    assert (made.code, made.err) == (0, "")
    (one,) = api.control.maintenance.maintenance
    assert (one.site, one.end - one.begin, one.ahead) == ("aws", timedelta(hours=4), timedelta(days=2))
    assert "clues maintenance cancel 1" in made.out
    assert clues("maintenance", socket=api.path).out == "No maintenance is ahead.\n", "the picture is of before"
    assert clues("maintenance", "cancel", "1", socket=api.path).out.startswith("aws is used as ever")
    assert api.control.maintenance.maintenance == ()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["aws"], "clues maintenance aws --from T --to T"),
        (["aws", "--from", "soon", "--to", "+4h"], "--from: 'soon' is no time: write"),
        (["aws", "--from", "now", "--to", "+4"], "--to: "),
        (["aws", "--from", "now", "--to", "+4h", "--ahead", "2"], "--ahead: "),
        (["aws", "3"], "clues maintenance cancel 3"),
        (["cancel"], "clues maintenance cancel NUMBER"),
        (["list", "--from", "now"], "go with a site"),
        (["cancel", "x"], "invalid int value"),
    ],
)
def test_what_is_wrong_with_a_maintenance_is_told_before_anybody_is_asked(words: list[str], told: str) -> None:
    result = clues("maintenance", *words)
    assert (result.code, result.out) == (2, "")
    assert told in result.err


def test_by_users_it_is_shared_out_and_without_an_accounting_it_is_said_how_to_get_one(api: Api) -> None:
    api.control.spent_rows = [SpentRow(ago(hours=1), "gpu", "aws", "art", 2.5)]
    refused = clues("cost", "--by", "user", "--since", "2026-03-01", socket=api.path)
    assert (refused.code, refused.out) == (1, "")
    assert "keeps no accounting" in refused.err
    api.control.uses = []
    result = clues("cost", "--by", "user", "--since", "2026-03-01", "-o", "csv", socket=api.path)
    assert (result.code, result.err) == (0, "")
    assert result.out == "user,use,amount,currency\n,unknown,2.5000,EUR\n"


def test_what_money_is_not_told_apart_by_is_named_with_what_it_is() -> None:
    result = clues("cost", "--by", "colour")
    assert (result.code, result.out) == (2, "")
    assert "'colour' is not one of pool, site, market, account, user, qos, job, day, month" in result.err


def test_a_vms_log_is_shown_without_what_moves_the_terminal(api: Api) -> None:
    api.control.log_text = "one\n\x1b[2Jtwo\n"
    result = clues("logs", "gpu-01", "--ssh", socket=api.path)
    assert (result.code, result.out) == (0, "one\n\\x1b[2Jtwo\n")
    assert api.control.log_readers == [("gpu-01", True)]


def test_an_empty_log_is_told_and_is_no_failure(api: Api) -> None:
    api.control.log_text = ""
    result = clues("logs", "gpu-01", socket=api.path)
    assert (result.code, result.out) == (0, "")
    assert result.err == "clues: the console of gpu-01 is empty\n"


def test_options_may_stand_before_or_after_the_command(api: Api) -> None:
    after = clues("nodes", "gpu-01", "-o", "name", "--socket", str(api.path))
    before = clues("-o", "name", "--socket", str(api.path), "nodes", "gpu-01")
    assert before.out == after.out == "gpu-01\n"


def test_an_option_goes_before_the_environment(api: Api) -> None:
    assert clues("status", "--socket", str(api.path), CLUES_SOCKET="/nonexistent").code == 0


def test_a_terminal_gets_no_colour_with_no_color(api: Api) -> None:
    command = shlex.join([*PROGRAM, "nodes", "gpu-01"])

    def on_terminal(**more: str) -> str:
        # script(1) gives the command a terminal of its own
        done = subprocess.run(
            ["script", "-qec", command, "/dev/null"],
            env=environment(CLUES_SOCKET=str(api.path), **more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=True,
        )
        return done.stdout.decode()

    assert "\x1b[32mbusy" in on_terminal()
    assert "\x1b" not in on_terminal(NO_COLOR="1")
    assert "\x1b" not in on_terminal(TERM="dumb")
    assert "\x1b" not in clues("nodes", "gpu-01", socket=api.path).out


# --- trying an image -------------------------------------------------------------------------------------


def trial(state: ClaimState, **more: Any) -> Claim:
    return make_claim("gpu-01", state, probe=True, reason=f"it is {state}", **more)


def test_an_image_is_tried_until_its_vm_is_gone(api: Api) -> None:
    going = trial(ClaimState.DRAINING, ready_at=NOW)
    api.control.trial_claims = [trial(ClaimState.PLANNED), going, trial(ClaimState.GONE, ready_at=NOW)]
    api.control.add(make_note(1, "gpu-01", "planned -> launching", about=("gpu-01-1",)))
    result = clues("image", "check", "cesnet", "new-image", "--flavor", "gpu.a10", socket=api.path)
    assert (result.code, result.out.startswith("good: image clues-worker at cesnet")) == (0, True)
    assert "it is draining" in result.out  # what was found, not how it went away
    assert "planned -> launching" in result.err
    assert [one[:3] for one in api.control.trials] == [("cesnet", "new-image", "gpu.a10")]
    assert api.control.stopped_trials == []


@pytest.mark.parametrize("more", [{"failure": "boot"}, {}])
def test_an_image_that_is_not_good_fails_the_command(api: Api, more: dict[str, str]) -> None:
    api.control.trial_claims = [trial(ClaimState.PLANNED), trial(ClaimState.GONE, **more)]
    result = clues("image", "check", "cesnet", "new-image", socket=api.path)
    assert (result.code, result.out.partition(":")[0]) == (1, "bad" if more else "unknown")


def test_interrupted_it_has_the_vm_ended(api: Api) -> None:
    api.control.trial_claims = [trial(ClaimState.BOOTING)]
    command = [*PROGRAM, "image", "check", "cesnet", "new-image", "--socket", str(api.path)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 20
        while api.control.trial_looks < 2 and time.monotonic() < deadline:  # the first one is the order's answer
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"its VM is being ended" in err
    assert api.control.stopped_trials == ["gpu-01-1"]


# --- orders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "wish"),
    [("poweron", Wish.ON), ("poweroff", Wish.OFF), ("drain", Wish.DRAIN), ("disable", Wish.DISABLED), ("enable", None)],
)
def test_orders_are_given(api: Api, verb: str, wish: Wish | None) -> None:
    result = clues(verb, "gpu-[01-02]", "cpu-001", socket=api.path)
    assert (result.code, result.out.startswith("cpu-001,gpu-[01-02] ")) == (0, True)
    assert [(names, given) for names, given, _ in api.control.orders] == [(("gpu-01", "gpu-02", "cpu-001"), wish)]


def test_pause_and_resume(api: Api) -> None:
    assert [clues(verb, socket=api.path).code for verb in ("pause", "resume")] == [0, 0]
    assert [paused for paused, _ in api.control.pauses] == [True, False]


def test_a_vm_is_evicted_and_its_user_told_what_follows(api: Api) -> None:
    result = clues("vrouter", "evict", "router-upv", socket=api.path)
    assert (result.code, result.err) == (0, "")
    assert result.out == "router-upv (router-upv-1) is out of the cluster; its VM will be ended\n"
    assert [key for key, _ in api.control.evictions] == ["router-upv-1"]


def test_a_step_to_a_new_ca_says_what_comes_next(api: Api) -> None:
    result = clues("vrouter", "ca", "rotate", socket=api.path)
    assert (result.code, [line.split()[0] for line in result.out.splitlines()]) == (0, ["done", "next"])
    assert len(api.control.rotations) == 1


def test_an_order_whose_answer_was_lost_is_sent_again_with_the_same_key(folder: Path) -> None:
    """The daemon does what it was told and dies before it answers; the next one knows of it."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as dying:
        dying.bind(str(folder / "s"))
        dying.listen()
        dying.settimeout(30)

        def hear_and_die() -> None:
            connection, _ = dying.accept()
            with connection:
                heard.append(connection.recv(65536))
            dying.close()
            time.sleep(0.7)  # nobody is there for a while
            (folder / "s").unlink()

        thread = threading.Thread(target=hear_and_die)
        thread.start()
        results: list[Result] = []
        command = threading.Thread(target=lambda: results.append(clues("pause", socket=folder / "s")))
        command.start()
        thread.join(30)
        key = re.search(rb"Idempotency-Key: ([0-9a-f]{32})", heard[0])
        assert key is not None
        with serve(joined(), path=folder / "s") as api:
            digest = hashlib.sha256(b"POST /v1/pause\n").hexdigest()
            answer = encode(wire.Accepted("pause", who="root"))
            api.control.answers[f"uid {os.getuid()}", key[1].decode()] = (digest, answer)
            command.join(30)
            assert api.control.pauses == []
    assert (results[0].code, results[0].err) == (0, "")


# --- what goes wrong -------------------------------------------------------------------------------------


def one_line(text: str) -> bool:
    return text.startswith("clues: ") and text.count("\n") == 1 and text.endswith("\n")


def test_without_a_daemon_one_line_says_what_to_do() -> None:
    result = clues("status")
    assert (result.code, result.out) == (3, "")
    assert result.err == (
        "clues: cluesd does not answer at /nonexistent/clues.sock: is it running? systemctl status cluesd\n"
    )


def test_a_socket_that_nobody_serves_is_no_daemon(folder: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(folder / "s"))
    left.close()
    result = clues("status", socket=folder / "s")
    assert (result.code, one_line(result.err)) == (3, True)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"nodes": 3}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + b"[" * 20000,
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\n<p/>",
    ],
)
@pytest.mark.parametrize("form", ["table", "yaml"])
def test_a_stranger_at_the_socket_is_no_daemon(folder: Path, answer: bytes, form: str) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(folder / "s"))
        stranger.listen()
        stranger.settimeout(30)

        def serve_once() -> None:
            connection, _ = stranger.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve_once)
        thread.start()
        result = clues("nodes", "-o", form, socket=folder / "s")
        thread.join(30)
    if form == "yaml" and result.code == 0:  # JSON it was, and as YAML any JSON can be shown
        return
    assert (result.code, one_line(result.err)) == (3, True), result


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be another user for once")
def test_who_may_not_use_the_socket_is_told_so(api: Api) -> None:
    folder = api.path.parent
    folder.chmod(0o755)
    assert stat.S_IMODE(api.path.stat().st_mode) == 0o660
    # The interpreter itself may stand where only root can read: it becomes nobody when all is loaded.
    program = (
        "import os, shutil, sys; from clues.cli import main; os.setgroups([]); os.setgid(65534); os.setuid(65534); "
        "sys.exit(main(['status']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(CLUES_SOCKET=str(api.path)),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, one_line(done.stderr.decode())) == (4, True), done
    assert b"group root" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["vrouter", "evict", "router-up"], 1, "router-up (did you mean router-upv"),
        (["offers", "gpus"], 1, "no such pool or site: gpus (did you mean gpu?)"),
        (["explain", "nobody"], 1, "no such node, job, pool or site: nobody"),
        (["logs", "gpu-99"], 1, "not a node of any pool: gpu-99 (did you mean"),
        (["nodes", "gpu-99"], 1, "no such node: gpu-99 (did you mean"),
        (["poweroff", "gpu-01", "gpu-99"], 1, "nothing was changed"),
        (["drain", "login-01"], 1, "not a node of any pool"),
        (["poweroff", "gpu-[01"], 2, "is not a hostlist"),
        (["poweroff", "gpu-01;reboot"], 2, "is not a hostlist"),
        (["poweroff", "--", "-x"], 2, "is not a hostlist"),
        (["poweroff", ""], 2, "names no node"),
        (["nodes", "n[1-999999]"], 2, "more than"),
        (["nodes", "\x1b[2J"], 2, "\\x1b[2J"),
    ],
)
def test_a_request_that_cannot_be_met_is_told_in_one_line(api: Api, arguments: list[str], code: int, told: str) -> None:
    result = clues(*arguments, socket=api.path)
    assert (result.code, result.out) == (code, "")
    assert one_line(result.err)
    assert told in result.err
    assert api.control.orders == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["bogus"],
        ["status", "-o", "xml"],
        ["poweron"],
        ["events", "-n", "0"],
        ["status", "--watch", "0"],
        ["config"],
        ["--stat"],
    ],
)
def test_a_wrong_command_line_exits_with_2(arguments: list[str]) -> None:
    result = clues(*arguments)
    assert (result.code, result.out) == (2, "")
    assert "usage: clues" in result.err
    assert "Traceback" not in result.err


def test_a_refusal_of_the_daemon_is_told_in_its_words(api: Api) -> None:
    api.control.failure = CluesError("the ledger\x1b[2J cannot be written")
    result = clues("poweron", "gpu-01", socket=api.path)
    assert (result.code, result.err) == (1, "clues: the ledger\\x1b[2J cannot be written\n")


def test_no_message_can_command_a_terminal() -> None:
    result = clues("status", "--socket", "/nonexistent/\x1b[2J")
    assert (result.code, one_line(result.err), "\\x1b[2J" in result.err) == (3, True, True)


def test_a_mistake_of_ours_is_one_line_unless_debugged(api: Api) -> None:
    broken = "import sys, clues.cli as c; c.build_parser = lambda: 1 / 0; sys.exit(c.main(['status']))"

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", broken],
            env=environment(**more),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert (run().returncode, one_line(run().stderr), "ZeroDivisionError" in run().stderr) == (1, True, True)
    assert "Traceback" in run(CLUES_DEBUG="1").stderr


# --- output that cannot go where it should ---------------------------------------------------------------


def shell(api: Api, text: str) -> subprocess.CompletedProcess[str]:
    """Run a fixed text in bash, ``clues`` in it being the command."""
    function = f'clues() {{ {shlex.join(PROGRAM)} "$@"; }}\n'
    return subprocess.run(
        ["bash", "-c", function + text],
        env=environment(CLUES_SOCKET=str(api.path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_reader_that_goes_away_is_no_error_worth_a_word(api: Api, form: str) -> None:
    done = shell(api, f"clues nodes -o {form} | true; echo ${{PIPESTATUS[0]}}")
    assert (done.stdout, done.stderr) == ("141\n", "")


@pytest.mark.parametrize("command", ["nodes", "sites"])  # more, and less, than Python keeps back
def test_a_full_disk_is_told(api: Api, command: str) -> None:
    done = shell(api, f"clues {command} >/dev/full")
    assert (done.returncode, done.stderr) == (1, "clues: the output cannot be written: No space left on device\n")


def test_closed_outputs_are_survived(api: Api) -> None:
    assert shell(api, "clues nodes >&-").returncode == 0
    assert shell(api, "clues status --socket /nonexistent >&- 2>&-").returncode == 3


def test_letters_that_the_terminal_lacks_are_escaped(api: Api) -> None:
    api.control.add(make_note(text="hotovo: žluťoučký"))
    result = clues("events", socket=api.path, PYTHONIOENCODING="ascii")
    assert (result.code, "\\u017elu\\u0165ou\\u010dk" in result.out) == (0, True)


# --- quick -----------------------------------------------------------------------------------------------


def test_nothing_heavy_is_imported(api: Api) -> None:
    program = (
        "import sys; from clues.cli import main; code = main(['status']); "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & set(sys.argv[1].split(','))), "
        "[name for name in sys.modules if name.startswith('clues.model')])"
    )
    heavy = (
        "pydantic,fastapi,starlette,uvicorn,anyio,yaml,libcloud,paramiko,cryptography,prometheus_client,asyncio,pathlib"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, heavy],
        env=environment(CLUES_SOCKET=str(api.path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[] []"


def test_a_plan_is_asked_with_every_change(api: Api) -> None:
    assert clues("plan", "--what-if", "gpu.idle=1h", "--what-if", "x=1", "--without", "aws", socket=api.path).code == 0
    assert api.control.rehearsals == [("gpu.idle=1h", "x=1", "sites.aws.disabled=true")]
    api.control.failure = InvalidRequest("--what-if: pools.gpu.max: this key is not known here")
    result = clues("plan", "--what-if", "gpu.max=8", socket=api.path)
    assert (result.code, result.out) == (1, "")
    assert "pools.gpu.max: this key is not known here" in result.err
