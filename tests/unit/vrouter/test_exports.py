"""No folder is exported in which somebody with power over the front-end lives, and what is exported is guarded."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.config import Share, load
from clues.errors import ConfigError
from clues.model import Attach
from clues.registry import find_plugins
from tests.unit.vrouter.claims import ALL, CESNET, UPV, settings, site
from vrouter import exports, nfs
from vrouter.exports import Account, Group

ROOT = Account("root", 0, 0, Path("/root"))
ALICE = Account("alice", 1000, 1000, Path("/home/alice"))
SLURM = Account("slurm", 64030, 64030, Path("/var/lib/slurm"))
DAEMON = Account("daemon", 1, 1, Path("/"))
EVERYBODY = [ROOT, ALICE, SLURM, DAEMON]
GROUPS = [Group("alice", 1000), Group("users", 100, ("alice",))]
HOME = Share(Path("/home"))


def refused(share: Share, *accounts: Account, groups: list[Group] = GROUPS, sudoers: tuple[str, ...] = ()) -> list[str]:
    state = Path("/var/lib/clues")
    return list(exports.refusals([share], accounts, groups, sudoers=sudoers, state=state))


def test_the_homes_of_ordinary_users_are_exported() -> None:
    assert refused(HOME, *EVERYBODY) == []


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("/root", "root, who is root"),
        ("/root/shared", "root, who is root"),
        ("/var/lib", "slurm, who is SlurmUser"),
        ("/var/lib/slurm/spool", "slurm, who is SlurmUser"),
        ("/var/lib/slurm", "slurm, who is SlurmUser"),
    ],
)
def test_a_folder_that_is_holds_or_lies_in_a_mighty_home_is_refused(path: str, who: str) -> None:
    told = refused(Share(Path(path)), *EVERYBODY)
    assert any(f"{path} cannot be exported: the home of {who}" in line for line in told), told


@pytest.mark.parametrize("group", ["sudo", "wheel", "admin", "clues"])
def test_a_sudoer_or_member_of_clues_is_told_with_the_cure(group: str) -> None:
    for groups in ([Group(group, 27, ("alice",))], [Group(group, 1000)]):
        (told,) = refused(HOME, *EVERYBODY, groups=groups)
        assert told == (
            f"/home cannot be exported: the home of alice, who is in the group {group}, is /home/alice: give that user "
            "a home elsewhere (usermod -m -d /var/home/alice alice), or export another folder"
        )


@pytest.mark.parametrize("named", ["alice", "#1000", "%users", "%#1000", "ALL"])
def test_whoever_sudo_names_is_a_sudoer(named: str) -> None:
    told = refused(HOME, *EVERYBODY, sudoers=("bob", named))
    assert "the home of alice, who is named in sudo's configuration" in told[0]


def test_users_and_folder_of_clues_are_kept_out() -> None:
    signer = Account("clues-signer", 990, 990, Path("/srv/signer"))
    assert "who is a user of clues" in refused(Share(Path("/srv")), *EVERYBODY, signer)[0]
    assert "clues keeps its own in /var/lib/clues" in refused(Share(Path("/var/lib/clues/x")), ALICE)[0]


def test_another_root_is_root_too() -> None:
    assert "toor, who is root" in refused(HOME, Account("toor", 0, 0, Path("/home/toor")))[0]


def test_who_has_no_home_keeps_nothing_from_being_exported() -> None:
    assert refused(HOME, Account("slurm", 64030, 64030, Path("/"))) == []


def test_what_another_machine_exports_is_its_own_business() -> None:
    assert refused(Share(Path("/root"), server="nas"), *EVERYBODY) == []


SUDOERS = """\
# alice is not here
Defaults env_reset # nor here
Defaults:bob !lecture
User_Alias ADMINS = carol, dave : OPS = erin
Cmnd_Alias SHUTDOWN = /sbin/halt, \\
    /sbin/reboot
root ALL=(ALL:ALL) ALL
%sudo   ALL=(ALL:ALL) ALL
frank, george ALL = NOPASSWD: ALL
heidi ,ivan ALL=ALL
#1007 ALL=ALL
"%domain users" ALL=ALL
@includedir /etc/sudoers.d
"""


def test_sudoers_are_found_in_all_the_forms_that_they_are_written_in() -> None:
    found = set(exports.sudoers_in(SUDOERS))
    assert {"root", "%sudo", "frank", "george", "heidi", "ivan", "#1007", "carol", "dave", "erin"} <= found
    assert not {"alice", "bob", "/sbin/halt", "/sbin/reboot", "ALL", "Defaults"} & found


@given(st.text(max_size=300))
def test_sudoers_of_any_form_harm_nobody(text: str) -> None:
    assert all(list(exports.sudoers_in(text)))


def test_the_ranges_are_those_that_workers_come_from() -> None:
    assert exports.clients(ALL, transit="10.77.252.0/22", front=("192.168.7.0/24",)) == (
        "10.77.1.0/24",
        "10.77.2.0/24",
        "10.77.3.0/24",
        "10.77.252.0/22",
    )
    assert exports.clients(settings(CESNET, UPV), transit="10.77.252.0/22") == ("10.77.1.0/24", "10.77.2.0/24")
    named = site("cloud", Attach.LOCAL, "workers")
    assert exports.clients(settings(named), front=("192.168.7.0/24",)) == ("192.168.7.0/24",)


def test_exports_are_for_the_ranges_with_privileged_ports_and_without_root() -> None:
    text = exports.render_exports([HOME, Share(Path("/x"), server="nas")], ["10.77.1.0/24", "10.77.2.0/24"])
    options = "(rw,sync,secure,root_squash,no_subtree_check,sec=sys)"
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == [f"/home 10.77.1.0/24{options} 10.77.2.0/24{options}"]
    assert "Nothing is exported" in exports.render_exports([], ["10.77.1.0/24"])


def test_ganesha_lets_nobody_in_but_the_ranges() -> None:
    text = exports.render_ganesha([HOME, Share(Path("/data"))], ["10.77.1.0/24"])
    assert text.count("EXPORT {") == text.count("Access_Type = NONE;") == text.count("Clients = 10.77.1.0/24;") == 2
    assert text.count("PrivilegedPort = true;") == text.count("Squash = Root_Squash;") == 4
    assert text.count("{") == text.count("}")
    assert "EXPORT" not in exports.render_ganesha([HOME], [])


CONFIG = """\
cluster: demo
state: {folder}/state
overlay: {{network: 10.77.0.0/16, public: head.example}}
shares: [{{path: {folder}/share}}]
sites:
  a: {{connector: local, network: 10.77.1.0/24, folder: {folder}/a, flavors: {{small: {{cpus: 2, memory: 2GiB}}}}}}
pools:
  cpu: {{nodes: "cpu-[1-4]", shape: {{cpus: 2, memory: 2GiB}}, offers: [{{site: a, flavor: small, image: here}}]}}
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration that shares a folder, on a machine without sudo whose root lives in a folder of its own."""
    folder = tmp_path.resolve()
    for name in ("share", "a", "root"):
        (folder / name).mkdir()
    monkeypatch.setattr(nfs, "SUDOERS", folder / "sudoers")
    monkeypatch.setattr(nfs, "accounts", lambda _: [Account("root", 0, 0, folder / "root")])
    (folder / "clues.yaml").write_text(CONFIG.format(folder=folder))
    return folder / "clues.yaml"


def test_the_command_prints_or_writes_both_files(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nfs.nfs_exports([str(path)]) == 0
    assert f"{path.parent}/share 10.77.1.0/24(rw" in capsys.readouterr().out
    assert nfs.nfs_exports([f"--write={path.parent}", str(path)]) == 0
    assert {"clues.exports", "ganesha-clues.conf"} <= {one.name for one in path.parent.iterdir()}


def test_the_command_refuses_a_folder_that_leads_elsewhere(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path.parent / "share").rmdir()
    (path.parent / "share").symlink_to(path.parent / "root")
    assert nfs.nfs_exports([str(path)]) == 1
    assert "by a symbolic link: export the folder itself" in capsys.readouterr().err


def test_the_command_refuses_what_holds_a_mighty_home(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nfs, "accounts", lambda _: [Account("root", 0, 0, path.parent / "share" / "root")])
    assert nfs.nfs_exports([f"--write={path.parent}", str(path)]) == 1
    assert "the home of root, who is root" in capsys.readouterr().err
    assert not (path.parent / "clues.exports").exists()


def test_where_nobody_can_tell_who_the_sudoers_are_nothing_is_exported(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied", str(nfs.SUDOERS))

    nfs.SUDOERS.write_text("alice ALL=ALL\n")
    assert nfs.sudoers(nfs.SUDOERS) == {"alice"}
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ConfigError, match="run this command as root"):
        nfs.sudoers(nfs.SUDOERS)


def test_the_accounts_of_this_machine_are_read() -> None:
    assert any(one.uid == 0 for one in nfs.accounts(["nobody-of-this-name"]))
    assert any(one.gid == 0 for one in nfs.groups([]))


def test_a_configuration_without_shares_exports_nothing(path: Path) -> None:
    text = path.read_text()
    path.write_text("".join(line for line in text.splitlines(keepends=True) if not line.startswith("shares")))
    files = nfs.render(load(path, find_plugins()), "slurm")
    assert "Nothing is exported" in files["clues.exports"]
