"""A good file becomes settings: one unit for each amount, one currency, offers one by one, plugins' keys checked."""

import re
from dataclasses import MISSING, fields, replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from clues.config import CONNECTORS, Endpoint, check, load
from clues.config.models import PaceSection
from clues.model import (
    Attach,
    Billing,
    Budget,
    Gpu,
    Kind,
    Limits,
    Market,
    Mode,
    Offer,
    Pace,
    Resources,
    RouterPlan,
    Warm,
    Window,
)
from tests.unit.config_example import EXAMPLE, PLUGINS, SMALL, Local, OpenNebula, OpenStack, OpenVpn, Plugin, write

#: The same plugins, and a connector that does not tell its flavors.
ANY_FLAVOR = {**PLUGINS, CONNECTORS: {"any": Plugin(Local)}}


def test_the_example_is_a_whole_hybrid_cluster(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, EXAMPLE), PLUGINS)
    settings = loaded.settings
    assert (settings.cluster, settings.currency, settings.budgets.cluster.per_day) == ("deep", "EUR", 200.0)
    assert settings.sites["cesnet"].limits == Limits(vms=40, cpus=320, gpus=8)
    assert settings.sites["aws"].limits == Limits(gpus=8, cost_per_hour=25.0)
    assert settings.sites["upv"].attach is Attach.ROUTER
    gpu = settings.pools["gpu"]
    assert gpu.nodes == tuple(f"gpu-{number:02}" for number in range(1, 17))
    assert gpu.shape == Resources(8, 60 * 1024, (Gpu("a10", 1),))
    assert (gpu.partitions, gpu.keep_warm, gpu.mode) == (("gpu", "long"), (Warm(1),), Mode.PLANNED)
    assert settings.pools["cpu"].partitions == ("cpu",)
    assert settings.pools["cpu"].idle == timedelta(minutes=10)
    assert loaded.sites["upv"] == (
        "opennebula",
        OpenNebula(endpoint="https://one.upv.example/RPC2", credentials="one_auth"),
    )
    assert (loaded.lrms[0], loaded.overlay[0]) == ("slurm", "openvpn")
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
    assert settings.budgets.cluster.per_day == pytest.approx(9.0)


def test_a_price_of_nothing_is_not_an_unknown_price(tmp_path: Path) -> None:
    def price(text: str) -> float | None:
        return load(write(tmp_path, text), PLUGINS).settings.pools["cpu"].offers[0].price_per_hour

    assert price(SMALL) is None
    assert price(SMALL.replace("image: any", "image: any, price: 0 EUR")) == 0.0


WORK = Window(frozenset(range(5)), 8 * 60, 18 * 60, ZoneInfo("Europe/Prague"))
MORNING = Window(frozenset({5, 6, 0}), 6 * 60, 7 * 60, ZoneInfo("UTC"))
SATURDAY = Window(frozenset({5}), 22 * 60, 2 * 60, ZoneInfo("Europe/Prague"))


@pytest.mark.parametrize(
    ("written", "warm"),
    [
        ("2", (Warm(2),)),
        ("{nodes: 3, when: Mon-Fri 08:00-18:00 Europe/Prague}", (Warm(3, (WORK,)),)),
        (
            '{nodes: 1, when: "mon,tue,Wed-friday 8:00-18:00, Sat 22:00-02:00 Europe/Prague"}',
            (Warm(1, (WORK, SATURDAY)),),
        ),
        (
            "{nodes: 1, when: [Mon-Fri 08:00-18:00 Europe/Prague, Sat 22:00-02:00 Europe/Prague]}",
            (Warm(1, (WORK, SATURDAY)),),
        ),
        ("[1, {nodes: 4, when: Mon-Fri 08:00-18:00 Europe/Prague}]", (Warm(1), Warm(4, (WORK,)))),
        ("{nodes: 1, when: 00:00-24:00}", (Warm(1, (Window(frozenset(range(7)), 0, 1440, ZoneInfo("UTC")),)),)),
        (
            "{nodes: 1, when: Sat-Mon 06:00-07:00}",
            (Warm(1, (MORNING,)),),
        ),
        ("0", ()),
    ],
    ids=["a number", "a mapping", "days and windows", "a list", "several numbers", "a day", "over sunday", "none"],
)
def test_keep_warm_is_a_number_a_mapping_or_a_list(tmp_path: Path, written: str, warm: tuple[Warm, ...]) -> None:
    text = SMALL.replace("    offers:", f"    keep_warm: {written}\n    offers:")
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
    config = OpenVpn(network="10.77.0.0/16", public="head.example.org", address="192.168.7.5", front="192.168.7.0/24")
    assert loaded.overlay == ("openvpn", config)
    assert loaded.sites["cesnet"] == ("openstack", OpenStack(cloud="cesnet", network="workers"))


def test_quoted_words_are_texts_whatever_they_look_like(tmp_path: Path) -> None:
    text = SMALL.replace("image: any", 'image: "010", zone: "no"')
    offer = load(write(tmp_path, text), PLUGINS).settings.pools["cpu"].offers[0]
    assert (offer.image, offer.zone) == ("010", "no")


def test_a_router_is_an_offer_with_a_shape_and_deadlines(tmp_path: Path) -> None:
    plan = load(write(tmp_path, EXAMPLE), PLUGINS).settings.sites["upv"].router
    assert plan == RouterPlan(Offer("upv", "small", "clues-router", price_per_hour=0.0), Resources(1, 1024))
    written = "router: {flavor: small, image: r, linger: 0s, silent_after: 20s, public: '198.51.100.20:1300'}"
    text = SMALL.replace("0.0/16}", "0.0/16, public: head}").replace(
        "    network", f"    attach: router\n    {written}\n    network", 1
    )
    plan = load(write(tmp_path, text), PLUGINS).settings.sites["a"].router
    assert plan is not None
    assert plan.shape == Resources(2, 2048)  # what the connector says that the flavor has
    assert (plan.linger, plan.silent_after) == (timedelta(0), timedelta(seconds=20))
    assert plan.public == "198.51.100.20:1300"
    text = text.replace("linger: 0s", "shape: {cpus: 1, memory: 1GiB}")
    assert load(write(tmp_path, text), PLUGINS).settings.sites["a"].router == replace(
        plan, shape=Resources(1, 1024), linger=timedelta(minutes=10)
    )


def test_each_kind_of_vm_is_told_the_way_to_enrol_that_it_can_go(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, EXAMPLE), PLUGINS)
    inside, outside = Endpoint("10.77.252.1", 8443), Endpoint("head.example.org", 8443)
    assert loaded.enrolment_at(Kind.ROUTER, Attach.ROUTER) == outside
    assert loaded.enrolment_at(Kind.WORKER, Attach.ROUTER) == inside
    assert loaded.enrolment_at(Kind.WORKER, Attach.DIRECT) == outside
    assert loaded.enrolment_at(Kind.WORKER, Attach.LOCAL) == outside
    assert loaded.enrolment_names == ("head.example.org", "10.77.252.1")
    written = '{listen: "0.0.0.0:9000", address: 192.168.7.5, public: "other.example:443"}'
    loaded = load(write(tmp_path, EXAMPLE + f"enrolment: {written}\n"), PLUGINS)
    assert loaded.enrolment_at(Kind.ROUTER, Attach.ROUTER) == Endpoint("other.example", 443)
    assert loaded.enrolment_at(Kind.WORKER, Attach.ROUTER) == Endpoint("192.168.7.5", 9000)
    assert loaded.enrolment_at(Kind.WORKER, Attach.LOCAL) == Endpoint("192.168.7.5", 9000)


def test_what_members_may_reach_is_put_together(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, EXAMPLE), PLUGINS)
    assert [str(one) for one in loaded.services] == ["tcp/8443", "tcp/2049", "tcp/6817", "udp/53"]
    assert "tcp/2049" not in map(str, load(write(tmp_path, SMALL), PLUGINS).services)
    elsewhere = SMALL + "shares: [{path: /home, server: nas.example}]\n"
    assert "tcp/2049" not in map(str, load(write(tmp_path, elsewhere), PLUGINS).services)


def test_a_share_is_mounted_without_suid_and_devices_whatever_its_options(tmp_path: Path) -> None:
    text = SMALL + (
        "shares:\n"
        "  - {path: /home}\n"
        "  - {path: /data/sets, server: nas.example, type: nfs, options: 'nodev,ro,vers=4.2'}\n"
    )
    first, second = load(write(tmp_path, text), PLUGINS).shares
    assert first.mount("10.77.0.1") == ("10.77.0.1:/home", "/home", "nfs4", "nosuid,nodev")
    assert first.mount("fd00::1")[0] == "[fd00::1]:/home"
    assert second.mount("10.77.0.1") == ("nas.example:/data/sets", "/data/sets", "nfs", "nosuid,nodev,ro,vers=4.2")


def test_accounts_are_exported_only_where_the_file_says_so(tmp_path: Path) -> None:
    assert not load(write(tmp_path, SMALL), PLUGINS).accounts.takes(1000)
    accounts = load(write(tmp_path, EXAMPLE), PLUGINS).accounts
    assert [accounts.takes(number) for number in (0, 1000, 2000, 59999, 60000)] == [False, False, True, True, False]


def test_the_places_are_those_of_the_file(tmp_path: Path) -> None:
    places = load(write(tmp_path, SMALL), PLUGINS).places
    assert (places.state, places.socket) == (Path("/var/lib/clues"), Path("/run/clues/clues.sock"))


def test_budgets_of_the_cluster_its_pools_and_its_accounts_are_read_in_one_currency(tmp_path: Path) -> None:
    text = (
        SMALL
        + """
rates: {USD: 0.5}
budget:
  {per_hour: 3 EUR, per_month: 100 USD, ahead: 2h, time_zone: Europe/Prague, accounts: {physics: {per_day: 4 USD}}}
"""
    )
    text = text.replace("    nodes:", "    budget: {per_day: 1 EUR}\n    nodes:")
    settings = load(write(tmp_path, text), PLUGINS).settings
    assert settings.budgets.cluster == Budget(per_hour=3.0, per_month=50.0)
    assert settings.budgets.accounts == {"physics": Budget(per_day=2.0)}
    assert (settings.budgets.ahead, settings.budgets.time_zone) == (timedelta(hours=2), "Europe/Prague")
    assert {pool.budget for pool in settings.pools.values()} == {Budget(per_day=1.0)}


def test_the_idle_time_may_be_left_to_clues_and_billing_stands_at_the_site_or_the_offer(tmp_path: Path) -> None:
    text = SMALL.replace("    offers:", "    idle: auto\n    offers:").replace(
        "    network", "    billing: 1h\n    network", 1
    )
    settings = load(write(tmp_path, text), PLUGINS).settings
    assert settings.pools["cpu"].idle_auto
    assert settings.pools["cpu"].offers[0].billing == Billing(timedelta(hours=1))
    own = text.replace("image: any", "image: any, billing: {minimum: 60s}")
    offer = load(write(tmp_path, own), PLUGINS).settings.pools["cpu"].offers[0]
    assert offer.billing == Billing(minimum=timedelta(seconds=60))


@pytest.mark.parametrize(
    ("line", "by_price", "minutes"),
    [
        ("", True, 10),
        ("idle: by-price", True, 10),
        ("idle: 10min", False, 10),
        ("idle: 3min", False, 3),
        ("mode: eager", False, 10),
    ],
)
def test_a_time_that_is_named_holds_for_all_nodes_of_a_pool(
    tmp_path: Path, line: str, by_price: bool, minutes: int
) -> None:
    settings = load(write(tmp_path, SMALL.replace("    offers:", f"    {line}\n    offers:")), PLUGINS).settings
    pool = settings.pools["cpu"]
    assert (pool.idle_by_price, pool.idle, pool.idle_auto) == (by_price, timedelta(minutes=minutes), False)


def test_when_nodes_are_disrupted_stands_at_their_pool(tmp_path: Path) -> None:
    text = SMALL.replace(
        "    offers:", "    max_age: 7d\n    disrupt: 25%\n    consolidate: true\n    drift: false\n    offers:"
    )
    pool = load(write(tmp_path, text), PLUGINS).settings.pools["cpu"]
    assert (pool.max_age, pool.disrupt, pool.consolidate, pool.drift) == (timedelta(days=7), 0.25, True, False)
