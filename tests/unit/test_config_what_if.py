"""Keys of the configuration changed for a try: by their names in the file, with the file's own checks, to no effect."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from pathlib import Path

import pytest

from clues.config import Loaded, load, what_if
from clues.errors import ConfigError
from clues.model import Settings
from tests.unit.config_example import EXAMPLE, PLUGINS, write


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    return load(write(tmp_path, EXAMPLE), PLUGINS)


def changed(loaded: Loaded, *changes: str) -> Settings:
    return what_if(loaded, PLUGINS, changes)


def test_without_a_change_it_is_the_configuration_in_use(loaded: Loaded) -> None:
    assert changed(loaded) == loaded.settings


def test_keys_are_changed_by_their_names_in_the_file(loaded: Loaded) -> None:
    before = deepcopy(loaded.raw)
    settings = changed(
        loaded,
        "pools.gpu.idle=30min",
        "sites.aws.limits.gpus=16",
        "pools.gpu.keep_warm=2",
        "pace.launches_per_tick = 7",
        "budget.per_day=300 EUR",
        "pools.cpu.offers[0].price=0.25 EUR",
        "pools.cpu.offers[2].market=[spot]",
    )
    gpu, cpu = settings.pools["gpu"], settings.pools["cpu"]
    assert gpu.idle == timedelta(minutes=30)
    assert settings.sites["aws"].limits.gpus == 16
    assert settings.pace.launches_per_tick == 7
    assert cpu.offers[0].price_per_hour == 0.25
    assert [offer.market.value for offer in cpu.offers if offer.site == "aws"] == ["spot", "spot"]
    assert loaded.raw == before, "the configuration in use is as it was"


def test_a_path_may_begin_with_a_pool_or_a_site(loaded: Loaded) -> None:
    settings = changed(loaded, "gpu.idle=1h", "aws.disabled=true")
    assert settings.pools["gpu"].idle == timedelta(hours=1)
    assert settings.sites["aws"].disabled


def test_a_key_without_a_value_is_taken_out(loaded: Loaded) -> None:
    assert loaded.settings.sites["aws"].limits.gpus == 8
    assert changed(loaded, "sites.aws.limits.gpus=").sites["aws"].limits.gpus is None


def test_a_key_below_a_shorthand_replaces_it(loaded: Loaded) -> None:
    assert changed(loaded, "gpu.keep_warm.nodes=3").pools["gpu"] == changed(loaded, "gpu.keep_warm=3").pools["gpu"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("gpu.max=8", "--what-if: pools.gpu.max: this key is not known here"),
        ("gpu.idel=8min", "pools.gpu.idel: this key is not known here (did you mean idle?)"),
        ("gpu.idle=soon", "pools.gpu.idle: 'soon' is not a duration: write a number and one of"),
        ("gpu.idle=30", "pools.gpu.idle: found 30: write a number and its unit"),
        ("pools.gup.idle=1min", "there is no pool 'gup' (did you mean gpu?); there are: cpu, gpu"),
        ("sites.azure.disabled=true", "there is no site 'azure'; there are: cesnet, upv, aws"),
        ("gup.idle=1min", "there is no such key, pool or site (did you mean upv or gpu?)"),
        ("socket=/tmp/x", "no decision goes by it; what can be changed begins with sites, pools"),
        ("overlay.network=10.0.0.0/8", "no decision goes by it"),
        ("pools.gpu=3", "name a pool and one of its keys"),
        ("pools.gpu.offers[9].price=1 EUR", "there is no pools.gpu.offers[9]"),
        ("pools.gpu.idle.x.y=1", "pools.gpu.idle"),
        ("sites.aws.limits.gpus=[", "'[' is not a value: write it as in the file"),
        ("sites.aws.limits.gpus=&a 3", "anchors"),
        ("gpu.keep_warm=99", "99 nodes, but the pool has 16"),
        ("pools.gpu.offers[0].price=1 CHF", "has no rate"),
        ("nonsense", "'nonsense' is not a change: write PATH=VALUE, such as pools.gpu.idle=30min"),
        ("pools.gpu.nodes=", "--what-if: pools.gpu: 'nodes' is missing"),
        ("=3", "is not a change"),
        ("a..b=3", "is not a change"),
    ],
)
def test_what_cannot_be_is_told_with_its_path_and_cure(loaded: Loaded, change: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        changed(loaded, change)
    assert told in str(error.value)


def test_every_mistake_is_told_at_once(loaded: Loaded) -> None:
    with pytest.raises(ConfigError) as error:
        changed(loaded, "gpu.idle=soon", "cpu.idel=1min")
    assert len(str(error.value).splitlines()) == 2
