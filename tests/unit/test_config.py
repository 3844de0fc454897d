"""A good file becomes settings: one unit for each amount, one currency, offers one by one, plugins' keys checked."""

import re
from dataclasses import MISSING, fields
from datetime import timedelta
from pathlib import Path

import pytest

from clues.config import CONNECTORS, Endpoint, check, load
from clues.config.models import PaceSection
from clues.model import Attach, Gpu, Limits, Market, Mode, Offer, Pace, Resources
from tests.unit.config_example import EXAMPLE, PLUGINS, SMALL, Flat, Local, OpenNebula, OpenStack, Plugin, write

#: The same plugins, and a connector that does not tell its flavors.
ANY_FLAVOR = {**PLUGINS, CONNECTORS: {"any": Plugin(Local)}}


def test_the_example_is_a_whole_hybrid_cluster(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, EXAMPLE), PLUGINS)
    settings = loaded.settings
    assert (settings.cluster, settings.currency, settings.budget_per_day) == ("deep", "EUR", 200.0)
    assert settings.sites["cesnet"].limits == Limits(vms=40, cpus=320, gpus=8)
    assert settings.sites["aws"].limits == Limits(gpus=8, cost_per_hour=25.0)
    assert settings.sites["upv"].attach is Attach.ROUTER
    gpu = settings.pools["gpu"]
    assert gpu.nodes == tuple(f"gpu-{number:02}" for number in range(1, 17))
    assert gpu.shape == Resources(8, 60 * 1024, (Gpu("a10", 1),))
    assert (gpu.partitions, gpu.keep_warm, gpu.mode) == (("gpu", "long"), 1, Mode.PLANNED)
    assert settings.pools["cpu"].partitions == ("cpu",)
    assert settings.pools["cpu"].idle == timedelta(minutes=10)
    assert loaded.sites["upv"] == (
        "opennebula",
        OpenNebula(endpoint="https://one.upv.example/RPC2", credentials="one_auth"),
    )
    assert (loaded.lrms[0], loaded.overlay[0]) == ("slurm", "flat")
    assert (loaded.overlay_network, loaded.public_host) == ("10.77.0.0/16", "head.example.org")
    assert (loaded.state, loaded.socket) == (Path("/var/lib/clues"), Path("/run/clues/clues.sock"))
    assert dict(loaded.rates) == {"USD": 0.92}


def test_lists_in_an_offer_are_all_combinations_in_order(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, EXAMPLE), PLUGINS)
    assert [offer for offer in loaded.settings.pools["cpu"].offers if offer.site == "aws"] == [
        Offer("aws", flavor, "clues-worker", market)
        for flavor in ("c7i.2xlarge", "m7i.2xlarge")
        for market in (Market.SPOT, Market.ON_DEMAND)
    ]


def test_zones_multiply_offers_too(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, SMALL.replace("image: any", "image: any, zone: [z1, z2]")), PLUGINS)
    assert [offer.key for offer in loaded.settings.pools["cpu"].offers] == [
        "a/small/z1/on-demand",
        "a/small/z2/on-demand",
    ]


def test_money_is_converted_by_the_rate_of_the_file(tmp_path: Path) -> None:
    text = SMALL.replace("image: any", "image: any, price: 0.50 USD") + "rates: {USD: 0.9}\nbudget: {per_day: 10 USD}\n"
    settings = load(write(tmp_path, text), PLUGINS).settings
    assert settings.pools["cpu"].offers[0].price_per_hour == pytest.approx(0.45)
    assert settings.budget_per_day == pytest.approx(9.0)


def test_a_price_of_nothing_is_not_an_unknown_price(tmp_path: Path) -> None:
    def price(text: str) -> float | None:
        return load(write(tmp_path, text), PLUGINS).settings.pools["cpu"].offers[0].price_per_hour

    assert price(SMALL) is None
    assert price(SMALL.replace("image: any", "image: any, price: 0 EUR")) == 0.0


@pytest.mark.parametrize(
    ("written", "warm"), [("keep_warm: 2", 2), ("keep_warm: {nodes: 3, when: Mon-Fri 08:00-18:00 Europe/Prague}", 3)]
)
def test_keep_warm_is_a_number_or_a_mapping(tmp_path: Path, written: str, warm: int) -> None:
    text = SMALL.replace("    offers:", f"    {written}\n    offers:")
    assert load(write(tmp_path, text), PLUGINS).settings.pools["cpu"].keep_warm == warm


@pytest.mark.parametrize(
    ("written", "gpus"),
    [
        ("2", (Gpu("", 2),)),
        ('"2"', (Gpu("", 2),)),
        ('"a10:1"', (Gpu("a10", 1),)),
        ('"t4:2,a10:1"', (Gpu("a10", 1), Gpu("t4", 2))),
        ("0", ()),
    ],
)
def test_gpus_are_a_count_or_types_with_counts(tmp_path: Path, written: str, gpus: tuple[Gpu, ...]) -> None:
    text = SMALL.replace("memory: 2GiB", f"memory: 2GiB, gpus: {written}").replace("connector: local", "connector: any")
    assert load(write(tmp_path, text), ANY_FLAVOR).settings.pools["cpu"].shape.gpus == gpus


@pytest.mark.parametrize(
    ("overlay", "enrolment", "address"),
    [
        ("{network: 10.77.0.0/16}", "{}", Endpoint("10.77.0.1", 8443)),
        ("{network: 10.77.0.0/16, public: head.example}", "{}", Endpoint("head.example", 8443)),
        ("{network: 10.77.0.0/16}", '{listen: "127.0.0.1:0"}', Endpoint("10.77.0.1", 0)),
        ("{network: 10.77.0.0/16}", '{listen: "0.0.0.0:9000", address: head}', Endpoint("head", 9000)),
        ("{network: 10.77.0.0/16}", '{address: "[fd00::1]:7"}', Endpoint("fd00::1", 7)),
    ],
)
def test_workers_are_told_where_to_enrol(tmp_path: Path, overlay: str, enrolment: str, address: Endpoint) -> None:
    text = re.sub(r"overlay: .*", f"overlay: {overlay}\nenrolment: {enrolment}", SMALL)
    assert load(write(tmp_path, text), PLUGINS).enrolment_address == address


def test_the_pace_of_the_file_is_that_of_the_model_with_the_same_defaults() -> None:
    of_model = {one.name: one.default for one in fields(Pace)}
    of_file = {name: one.default for name, one in PaceSection.model_fields.items()}
    assert of_file == of_model
    assert MISSING not in of_model.values()


def test_every_key_of_the_pace_reaches_the_core(tmp_path: Path) -> None:
    written = {
        one.name: "90s" if isinstance(one.default, timedelta) else 0.5 if isinstance(one.default, float) else 7
        for one in fields(Pace)
    }
    text = SMALL + "pace:\n" + "".join(f"  {name}: {value}\n" for name, value in written.items())
    assert len(written) > 10
    pace = load(write(tmp_path, text), PLUGINS).settings.pace
    assert {one.name: getattr(pace, one.name) for one in fields(Pace)} == {
        name: timedelta(seconds=90) if value == "90s" else value for name, value in written.items()
    }


def test_a_good_file_is_summed_up(tmp_path: Path) -> None:
    found = check(write(tmp_path, EXAMPLE), PLUGINS)
    assert found.errors == ()
    assert str(found.summary) == "3 sites, 2 pools, 116 nodes, 9 offers"


def test_a_plugin_gets_the_common_keys_that_it_declares(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, EXAMPLE), PLUGINS)
    assert loaded.overlay == ("flat", Flat(network="10.77.0.0/16", public="head.example.org"))
    assert loaded.sites["cesnet"] == ("openstack", OpenStack(cloud="cesnet", network="workers"))


def test_quoted_words_are_texts_whatever_they_look_like(tmp_path: Path) -> None:
    text = SMALL.replace("image: any", 'image: "010", zone: "no"')
    offer = load(write(tmp_path, text), PLUGINS).settings.pools["cpu"].offers[0]
    assert (offer.image, offer.zone) == ("010", "no")
