"""What a front-end does before its turn: it founds no second cluster, tells who is active, and gives no orders."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from clues.api import wire
from clues.api.server import ApiServer
from clues.cli.commands.status import lines
from clues.cli.tables import Style
from clues.config import FrontEnds, Loaded, load
from clues.doctor.front_ends import examine_front_ends
from clues.doctor.frontend import examine_daemon
from clues.errors import ConfigError
from clues.metrics import Exposition
from clues.model import Soundness
from clues.registry import find_plugins
from clues.standby import identity, restoring
from clues.standby.face import make_face
from clues.standby.folder import SharedFolder
from clues.standby.lease import Lease
from clues.standby.waiting import StandBy, begin
from clues.state_folder import cluster_id
from tests.unit.api.serving import short_folder
from tests.unit.builders import NOW
from tests.unit.config_example import EXAMPLE

OTHER = "b" * 16


class Home:
    """A front-end's own folder, and the one that it shares."""

    def __init__(self, path: Path) -> None:
        self.state, self.shared = path / "state", path / "shared"
        self.state.mkdir()
        self.shared.mkdir()
        (path / "clues.yaml").write_text(EXAMPLE)
        ways = FrontEnds(self.shared, timedelta(seconds=0.4), timedelta(seconds=60))
        loaded = load(path / "clues.yaml", find_plugins())
        self.loaded: Loaded = replace(loaded, state=self.state, socket=path / "s.sock", front_ends=ways)

    def standby(self) -> StandBy:
        found = begin(self.loaded, cluster_id, lambda: self.loaded, "head-b")
        assert found is not None
        return found

    def file(self) -> str:
        return next(path.name for path in self.shared.glob("lease.*"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_lease_that_nobody_has_is_taken_at_once_and_by_one(home: Home) -> None:
    (home.shared / "lease.0").touch()
    turn = home.standby()._step()
    assert turn is not None
    turn.keeper.stop()
    assert home.file() == f"lease.1.{identity.front_end_id(home.state)}.head-b" or turn.keeper.lease.number > 1


def test_ones_own_lease_is_gone_on_with_at_once_and_with_ones_own_ledger(home: Home) -> None:
    me = identity.front_end_id(home.state)
    (home.shared / Lease(7, me, "head-b").file).touch()
    turn = home.standby()._step()
    assert turn is not None
    turn.keeper.stop()
    assert not restoring.is_stale(home.state / "ledger.db")


def test_anothers_lease_is_waited_for_and_marks_the_own_ledger_as_old(home: Home) -> None:
    (home.shared / Lease(7, OTHER, "head-a").file).touch()
    standby = home.standby()
    assert standby._step() is None
    assert restoring.is_stale(home.state / "ledger.db")
    assert "head-a is active" in standby.who_acts()


def test_a_lease_is_not_taken_without_a_ledger_to_go_on_from(home: Home) -> None:
    held = home.shared / Lease(7, OTHER, "head-a").file
    held.touch()
    standby = home.standby()
    standby._step()
    standby._watch = replace(standby._watch, since=standby._watch.since - 100)
    assert standby._step() is None
    assert held.exists()
    assert "no snapshot" in standby.troubles()[0]


def test_a_folder_that_is_not_mounted_is_nobodys_turn_and_is_told(home: Home) -> None:
    standby = home.standby()
    assert standby._step() is None
    assert "is it mounted" in standby.troubles()[0]
    assert "not known" in standby.who_acts()


def test_no_second_cluster_is_founded_beside_one_that_is_there(home: Home, tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    shared = SharedFolder(home.shared)
    identity.tell(shared, identity.what_is_shared(first, cluster_id(first)))
    with pytest.raises(ConfigError, match=r"copy cluster-id, ticket\.key"):
        home.standby()
    assert not (home.state / "cluster-id").exists()
    # a cluster of its own is not this one either
    cluster_id(home.state)
    (home.state / "ticket.key").write_bytes((first / "ticket.key").read_bytes())
    (home.state / "ticket.key").chmod(0o600)
    (home.shared / "lease.0").touch()
    standby = home.standby()
    assert standby._step() is None
    assert "another cluster" in standby.troubles()[0]
    (home.state / "cluster-id").write_bytes((first / "cluster-id").read_bytes())
    turn = home.standby()._step()
    assert turn is not None
    turn.keeper.stop()


def test_another_ca_than_the_active_ones_is_told(home: Home) -> None:
    (home.shared / Lease(7, OTHER, "head-a").file).touch()
    trust = home.loaded.places.trust
    trust.mkdir()
    (trust / "ca.pem").write_text("mine")
    SharedFolder(home.shared).write("authority", b"theirs")
    standby = home.standby()
    standby._step()
    assert "copy signer and trust" in standby.troubles()[0]
    SharedFolder(home.shared).write("authority", identity.authority(trust))
    standby._step()
    assert standby.troubles() == []


def test_a_ledger_that_is_old_is_not_acted_upon_by_one_that_was_made_alone(home: Home) -> None:
    restoring.make_stale(home.state / "ledger.db")
    with pytest.raises(ConfigError, match=r"ledger\.db\.stale"):
        begin(replace(home.loaded, front_ends=None), cluster_id, lambda: home.loaded, "head-b")


def test_it_tells_its_state_and_refuses_all_else_with_the_name_of_the_active_one() -> None:
    face = make_face(lambda: "deep", lambda: "this front-end stands by: head-a is active", lambda: ["no share"])
    client = TestClient(face, base_url="http://localhost")
    status = client.get("/v1/status").json()
    assert (status["cluster"], status["state"]) == ("deep", "standby")
    assert status["troubles"] == ["this front-end stands by: head-a is active", "no share"]
    for answer in (client.post("/v1/nodes/poweroff", json={"nodes": ["cpu-1"]}), client.get("/v1/nodes")):
        assert answer.status_code == 503
        assert "head-a is active" in json.loads(answer.content)["detail"]


def test_its_screen_shows_no_numbers_that_it_does_not_know() -> None:
    status = wire.ClusterStatus(cluster="deep", state="standby", troubles=("head-a is active",))
    assert lines(status, Style(width=80)) == ["deep    standby", "trouble   head-a is active"]


def test_the_doctor_looks_at_the_shared_folder(home: Home) -> None:
    home.shared.chmod(0o755)
    ways = home.loaded.front_ends
    (open_to_others, missing) = examine_front_ends(ways)
    assert open_to_others.soundness is missing.soundness is Soundness.BAD
    assert "chmod" in open_to_others.cure
    home.shared.chmod(0o700)
    (home.shared / Lease(7, OTHER, "head-a").file).touch()
    (good,) = examine_front_ends(ways)
    assert (good.soundness, "head-a holds" in good.text) == (Soundness.GOOD, True)
    assert list(examine_front_ends(None)) == []


def test_the_doctor_takes_one_that_stands_by_for_what_it_is() -> None:
    face = make_face(lambda: "deep", lambda: "stands by: head-a is active", lambda: ["no share"])
    with short_folder() as folder:
        server = ApiServer(face, folder / "s.sock")
        server.start()
        try:
            active, trouble = examine_daemon(str(folder / "s.sock"))
        finally:
            server.stop()
    assert (active.soundness, active.text) == (Soundness.GOOD, "stands by: head-a is active")
    assert (trouble.soundness, trouble.text) == (Soundness.BAD, "no share")


def test_prometheus_is_told_that_it_stands_by_and_what_is_wrong() -> None:
    told = Exposition(lambda: None, lambda: NOW)
    told.standing_by = lambda: 2
    text = told.text()[0].decode()
    assert "clues_active 0.0" in text
    assert "clues_troubles 2.0" in text
