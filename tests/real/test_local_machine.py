"""A local VM is a machine of its own, belongs to nobody, and there is never a second one or a lost one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clues.errors import InvalidRequest, Transient
from clues.model import Instance, InstanceState
from clues.testing.connector_contract import OURS, find, launch, launch_error, listed
from connectors.local import image, machine, network
from connectors.local.admission import admit
from connectors.local.store import Store
from tests.real.local_site import LocalSite, until

pytestmark = pytest.mark.real


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LocalSite]:
    site = LocalSite(tmp_path)
    yield site
    site.clear()


def run_in_vm(site: LocalSite, script: str, number: int = 1) -> str:
    """Launch a VM that runs *script*; what it printed once it has ended."""
    instance = launch(site.connect(OURS), site.request(OURS, number, script))
    until("user-data to end", lambda: "user-data ended" in site.console(instance))
    return site.console(instance)


def cables() -> set[str]:
    return {name for _, name in socket.if_nameindex() if name.startswith("cv")}


# --- a machine of its own -------------------------------------------------------------------------------------------


def test_it_has_its_own_name_address_processes_and_files(site: LocalSite) -> None:
    said = run_in_vm(
        site,
        """hostname; ip -br addr show eth0; cat /etc/hostname; set -- /proc/[0-9]*; echo processes=$#
        for folder in /etc /tmp /run /root /var/lib /var/log /var/spool /var/tmp; do echo mine >$folder/mark-of-vm; done
        cat /etc/clues/facts; stat -c %a /run/clues/user-data; pwd; id -u""",
    )
    assert said.splitlines()[0] == "node-1"
    assert "10.77.1.11/16" in said
    assert int(re.findall(r"processes=(\d+)", said)[0]) <= 3
    assert "CPUS=2\nMEMORY_MIB=2048\nGPUS=\n600\n/\n0\n" in said
    folders = "/etc /tmp /run /var/lib /var/log /var/spool /var/tmp".split()
    assert not [folder for folder in folders if Path(folder, "mark-of-vm").exists()]
    # The machine's /root may be one that we cannot ask; in the VM it can be written to.
    assert "denied" not in said


def test_its_script_inherits_nothing_that_leads_out(site: LocalSite) -> None:
    said = run_in_vm(site, "ls /proc/$$/fd; grep SigIgn /proc/$$/status; env; cat")
    files, _, rest = said.partition("SigIgn:")
    # dash keeps the script itself open as 10.
    assert files.split() == ["0", "1", "10", "2"]
    assert int(rest.split()[0], 16) == 0
    assert {line.partition("=")[0] for line in rest.splitlines() if "=" in line} <= {"PATH", "HOME", "LANG", "PWD"}


def test_it_has_just_booted(site: LocalSite) -> None:
    said = run_in_vm(site, "cat /proc/uptime")
    assert 1 <= float(said.split()[0]) < 10


def test_user_data_does_not_stay(site: LocalSite) -> None:
    instance = launch(site.connect(OURS), site.request(OURS, 1, "true"))
    until("user-data to end", lambda: "user-data ended: 0" in site.console(instance))
    pid = site.process(instance).pid
    until("user-data to be removed", lambda: not Path(f"/proc/{pid}/root/run/clues/user-data").exists())


def test_it_reaches_the_front_end_and_the_front_end_reaches_it(site: LocalSite) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.client_address[0].encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    network.ensure_bridge(site.config.bridge, site.config.network)
    with ThreadingHTTPServer(("10.77.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            said = run_in_vm(site, f"curl -s -m 10 http://10.77.0.1:{server.server_port}/")
        finally:
            server.shutdown()
    assert said.startswith("10.77.1.11")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("10.77.1.11", 9), timeout=5)


def test_the_next_vm_with_the_same_address_is_reached_at_once(site: LocalSite) -> None:
    connector, request = site.connect(OURS), site.request(OURS, 1)
    # A bridge without any port would forget all hardware addresses.
    launch(connector, site.request(OURS, 2))
    for life in (1, 2, 3):
        instance = launch(connector, replace(request, launch_key=f"life-{life}"))
        # A stale hardware address would cost seconds here.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((request.address, 9), timeout=0.8)
        connector.terminate(instance.id)


def test_orphans_are_reaped(site: LocalSite) -> None:
    instance = launch(site.connect(OURS), site.request(OURS, 1, "for i in 1 2 3; do setsid --fork sleep 0.05; done"))
    pid = site.process(instance).pid
    until("user-data to end", lambda: "user-data ended" in site.console(instance))

    def states() -> list[str]:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [Path(f"/proc/{child}/stat").read_text().split()[2] for child in children]

    until("one child, the sleep of its init, to be left", lambda: len(states()) == 1)


def test_terminate_leaves_no_process_link_or_file(site: LocalSite) -> None:
    connector = site.connect(OURS)
    before = cables()
    instance = launch(connector, site.request(OURS, 1, "setsid --fork sleep 1000"))
    until("user-data to end", lambda: "user-data ended" in site.console(instance))
    process = site.process(instance)
    namespace = Path(f"/proc/{process.pid}/ns/pid").readlink()
    assert len(cables() - before) == 1
    # Somebody looks at its network: then the kernel would keep the cable.
    with Path(f"/proc/{process.pid}/ns/net").open():
        connector.terminate(instance.id)
        assert cables() == before
    assert not site.vm(instance).exists()
    spaces = []
    for path in Path("/proc").glob("[0-9]*/ns/pid_for_children"):
        try:
            spaces.append(path.readlink())
        except (FileNotFoundError, PermissionError):
            continue
    # Its parent, `unshare`, is reaped by the sandbox in a moment.
    until("its processes to be gone", lambda: not process.lives())
    assert spaces.count(namespace) <= 1


# --- never two, never lost ------------------------------------------------------------------------------------------


def test_it_outlives_the_kill_of_whoever_launched_it(site: LocalSite) -> None:
    program = f"""
        import os, signal
        from pathlib import Path
        from tests.real.local_site import LocalSite
        from clues.testing.connector_contract import OURS, launch
        site = LocalSite(Path({str(site.folder.parent)!r}))
        print(launch(site.connect(OURS), site.request(OURS, 1)).id, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=root, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    time.sleep(0.3)
    (instance,) = listed(site.connect(OURS))
    assert (instance.id, instance.state) == (done.stdout.strip(), InstanceState.RUNNING)
    process = site.process(instance)
    site.connect(OURS).terminate(instance.id)
    assert not process.lives()


def test_it_comes_up_though_nobody_waits_for_its_word_any_more(site: LocalSite, tmp_path: Path) -> None:
    """Its launcher was killed in the middle of its start, or has waited for long enough."""
    folder = tmp_path / "vm-alone"
    image.prepare(folder, hardware(site), room=machine.room(), now=0)
    os.close(machine.power_on(folder, "true")._word)
    until("user-data to end", lambda: "user-data ended" in machine.console_end(folder))
    process = machine.process_of(folder)
    assert process is not None
    assert process.lives()
    machine.power_off(process, 5)
    network.remove_cable(network.cable_name(folder))


def recorded(site: LocalSite) -> tuple[Instance, Path]:
    """What a launch leaves that was killed after the record was written, and before anything was started."""
    connector = site.connect(OURS)
    admit(site.request(OURS, 1), site.config, Store(site.folder), connector._context)
    (instance,) = listed(connector)
    return instance, site.vm(instance)


def test_a_launch_killed_before_the_start_is_made_good_by_the_same_key(site: LocalSite) -> None:
    instance, folder = recorded(site)
    assert (instance.state, folder.exists()) == (InstanceState.PENDING, False)
    assert launch(site.connect(OURS), site.request(OURS, 1)).id == instance.id
    assert site.process(instance).lives()


def test_a_launch_killed_before_the_start_can_be_terminated(site: LocalSite) -> None:
    instance, _ = recorded(site)
    site.connect(OURS).terminate(instance.id)
    assert find(site.connect(OURS), instance.id).state is InstanceState.GONE


def hardware(site: LocalSite) -> image.Hardware:
    from ipaddress import IPv4Address

    small = site.config.flavors["small"].resources
    network.ensure_bridge(site.config.bridge, site.config.network)
    return image.Hardware("n", IPv4Address("10.77.1.50"), site.config.network, site.config.bridge, small)


def test_of_two_starters_of_one_vm_one_wins(site: LocalSite, tmp_path: Path) -> None:
    folder, before = tmp_path / "vm-twice", cables()
    image.prepare(folder, hardware(site), room=machine.room(), now=0)
    starters = [machine.power_on(folder, "true") for _ in range(3)]
    for starter in starters:
        starter.wait(20)
    process = machine.process_of(folder)
    assert process is not None
    until("user-data to end", lambda: "user-data ended" in machine.console_end(folder))
    assert machine.console_end(folder).count("user-data ended") == 1
    assert len(cables() - before) == 1
    machine.power_off(process, 5)
    network.remove_cable(network.cable_name(folder))


def test_a_starter_that_comes_after_terminate_makes_nothing(site: LocalSite, tmp_path: Path) -> None:
    folder, before = tmp_path / "vm-late", cables()
    image.prepare(folder, hardware(site), room=machine.room(), now=0)
    assert machine.forestall(folder) is None
    machine.power_on(folder, "echo I live >&2").wait(20)
    time.sleep(0.2)
    assert machine.console_end(folder) == ""
    assert cables() == before


def test_a_starter_that_comes_in_the_middle_of_terminate_makes_nothing(
    site: LocalSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance, folder = recorded(site)
    image.prepare(folder, hardware(site), room=machine.room(), now=0)
    before, said = cables(), []

    def start_late(name: str, namespace: str) -> None:
        machine.power_on(folder, "true").wait(20)
        said.append(cables() - before)

    monkeypatch.setattr(network, "remove_cable", start_late)
    site.connect(OURS).terminate(instance.id)
    assert said == [set()]


def test_a_vm_that_cannot_be_made_is_told_with_its_console_and_leaves_nothing(site: LocalSite) -> None:
    shutil.rmtree(site.folder, ignore_errors=True)
    connector = site.connect(OURS)
    instance, folder = recorded(site)
    image.prepare(folder, replace(hardware(site), bridge="no-bridge"), room=machine.room(), now=0)
    before = cables()
    error = launch_error(connector, site.request(OURS, 1))
    assert type(error) is Transient
    assert "no-bridge" in error.words
    assert listed(connector) == ()
    assert cables() == before
    assert not site.vm(instance).exists()


def test_a_stranger_with_the_process_id_of_a_vm_is_not_killed(site: LocalSite) -> None:
    connector = site.connect(OURS)
    instance = launch(connector, site.request(OURS, 1))
    process = site.process(instance)
    os.kill(process.pid, signal.SIGKILL)
    stranger = subprocess.Popen(["sleep", "1000"])
    try:
        told = f"{stranger.pid} {process.start} {process.room}"
        (site.vm(instance) / "process").write_text(told)
        assert find(connector, instance.id).state is InstanceState.STOPPED
        connector.terminate(instance.id)
        time.sleep(0.1)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_ended_instances_are_forgotten_after_their_time(tmp_path: Path) -> None:
    site = LocalSite(tmp_path, show_ended="200ms")
    connector = site.connect(OURS)
    instance = launch(connector, site.request(OURS, 1))
    connector.terminate(instance.id)
    until("it to be forgotten", lambda: not listed(connector), timeout=5)
    assert [path for path in site.folder.rglob("*") if instance.id in path.name] == []
    connector.terminate(instance.id)


def test_what_a_killed_terminate_left_is_cleared_away(site: LocalSite) -> None:
    connector = site.connect(OURS)
    lost, unfinished = site.folder / "vms" / "vm-0123456789ab", site.folder / "vms" / ".vm-0123456789ab.1.x"
    for folder in (lost, unfinished):
        (folder / "etc").mkdir(parents=True)
    os.utime(unfinished, (0, 0))
    assert listed(connector) == ()
    assert not lost.exists()
    assert not unfinished.exists()


def test_what_really_lives_is_seen_and_can_be_ended_whatever_the_records_say(site: LocalSite) -> None:
    instance = launch(site.connect(OURS), site.request(OURS, 1))
    store = Store(site.folder)
    process = site.process(instance)
    store.forget(instance.id)
    assert [one.id for one in store.living()] == [instance.id]
    store.end_all()
    assert store.living() == []
    assert not process.lives()


def test_without_privileges_the_error_says_what_to_do(site: LocalSite) -> None:
    program = f"""
        from pathlib import Path
        from tests.real.local_site import LocalSite
        from clues.errors import InvalidRequest
        from clues.testing.connector_contract import OURS
        site = LocalSite(Path({str(site.folder.parent)!r}))
        try:
            site.connect(OURS).launch([site.request(OURS, 1)])
        except InvalidRequest as error:
            print(error)
    """
    root = Path(__file__).parents[2]
    argv = [
        "unshare",
        "-U",
        "--map-user=1000",
        "--map-group=1000",
        "--",
        sys.executable,
        "-c",
        textwrap.dedent(program),
    ]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True)
    assert "CAP_NET_ADMIN and CAP_SYS_ADMIN" in done.stdout, done.stderr
    assert "python -m connectors.local.sandbox" in done.stdout


def test_a_bridge_name_that_is_another_link_is_left_alone(tmp_path: Path) -> None:
    site = LocalSite(tmp_path, bridge="dummy7", gateway="10.99.0.1")
    subprocess.run(["ip", "link", "add", "dummy7", "type", "bridge"], check=True)
    try:
        error = launch_error(site.connect(OURS), replace(site.request(OURS, 1), address="10.99.0.7"))
        assert type(error) is InvalidRequest
        shown = subprocess.run(["ip", "-br", "addr", "show", "dummy7"], capture_output=True, text=True, check=True)
        assert "10.99" not in shown.stdout
    finally:
        subprocess.run(["ip", "link", "delete", "dummy7"], check=True)
