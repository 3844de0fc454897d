"""A fingerprint of what VMs are told at their boot."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from clues.bootstrap.recipe import with_recipes
from clues.config.values import Hook, Workers
from tests.unit.builders import make_offer, make_pool, make_settings

SETTINGS = make_settings([make_pool(offers=[make_offer(), make_offer("aws", "c7i")])])


def recipes(workers: Workers) -> dict[str, str]:
    return dict(with_recipes(SETTINGS, workers).pools["cpu"].recipes)


def test_it_changes_with_a_hook_and_only_where_that_runs(tmp_path: Path) -> None:
    file = tmp_path / "scratch.sh"
    file.write_text("#!/bin/sh\n")
    hook = Hook("scratch", file, timedelta(minutes=1), sites=("aws",))
    plain, before = recipes(Workers()), recipes(Workers(hooks=(hook,)))
    file.write_text("#!/bin/sh\nmkdir /scratch\n")
    after = recipes(Workers(hooks=(hook,)))
    assert plain["cesnet"] == before["cesnet"] == after["cesnet"]
    assert len({plain["aws"], before["aws"], after["aws"]}) == 3


def test_a_hook_that_cannot_be_read_leaves_it_unknown(tmp_path: Path) -> None:
    hook = Hook("scratch", tmp_path / "none", timedelta(minutes=1))
    assert recipes(Workers(hooks=(hook,))) == {}
