"""Every mistake is told at once, with its line, what was found and what is allowed."""

# ruff: noqa: E501 - the table below reads best with one mistake a line

from pathlib import Path

import pytest

from clues.config import load
from clues.errors import ConfigError
from tests.unit.config_example import EXAMPLE, PLUGINS, SMALL, errors, write

OIDC = "{issuer: https://iam.example.org/, audience: clues, scope: clues, roles: {reader: scope=clues}}"

#: What is changed in the small example, and the one mistake that this has to be.
ONE_MISTAKE: dict[str, tuple[str, str, str]] = {
    "unknown key": ("cluster: demo", "clustre: x\ncluster: demo", "1: clustre: this key is not known here (did you mean cluster?)"),
    "unknown key of a pool": ("    shape", "    idel: 3min\n    shape", "11: pools.cpu.idel: this key is not known here (did you mean idle?)"),
    "unknown key below": ("memory: 2GiB", "memory: 2GiB, cpu: 3", "11: pools.cpu.shape.cpu: this key is not known here (did you mean cpus?)"),
    "unknown key of a site": ("    network", "    flavours: {}\n    network", "6: sites.a.flavours: this key is not known here (did you mean flavors?)"),
    "unknown key below a plugin's": ("gpus: 1}", "gpu: 1}", "7: sites.a.flavors.gpu.gpu: this key is not known here (did you mean gpus?)"),
    "missing": ("    nodes: cpu-[1-4]\n", "", "9: pools.cpu: 'nodes' is missing: The names of the nodes."),
    "missing for the plugin": ("    flavors: {", "#", "4: sites.a: 'flavors' is missing"),
    "empty section": ("nodes: cpu-[1-4]", "nodes:", "10: pools.cpu.nodes: is empty: The names of the nodes."),
    "wrong unit": ("2GiB", "2Gb", "11: pools.cpu.shape.memory: '2Gb' is not a memory: write a number and one of KiB, MiB, GiB"),
    "no unit": ("2GiB", "2048", "11: pools.cpu.shape.memory: found 2048: write a number and its unit, such as '30GiB'"),
    "endless amount": ("2GiB", "99999999999999999999999999999999GiB", "11: pools.cpu.shape.memory: "),
    "endless time": ("    shape", "    idle: 99999999999999d\n    shape", "11: pools.cpu.idle: '99999999999999d' is too much"),
    "a lifetime": ("    shape", "    idle: 4000d\n    shape", "11: pools.cpu.idle: '4000d' is too much: at most 3650d"),
    "no time": ("    shape", "    boot_deadline: 0s\n    shape", "11: pools.cpu.boot_deadline: has to be longer than nothing"),
    "not a number": ("cpus: 2, memory: 2", "cpus: two, memory: 2", "11: pools.cpu.shape.cpus: found 'two': write a whole number"),
    "a number in quotes": ("cpus: 2, memory: 2", 'cpus: "2", memory: 2', "11: pools.cpu.shape.cpus: found '2': write a whole number, without quotes"),
    "a broken number": ("cpus: 2, memory: 2", "cpus: 1.5, memory: 2", "11: pools.cpu.shape.cpus: found 1.5: write a whole number"),
    "negative limit": ("    network", "    limits: {vms: -1}\n    network", "6: sites.a.limits.vms: -1 is too small: it has to be at least 0"),
    "not a GPU": ("2GiB", "2GiB, gpus: a10", "11: pools.cpu.shape.gpus: 'a10' does not tell GPUs: write a count"),
    "a GPU type twice": ("2GiB", '2GiB, gpus: "a10:1,a10:2"', "11: pools.cpu.shape.gpus: 'a10:1,a10:2' names the type a10 twice"),
    "yes for true": ("    network", "    disabled: 1\n    network", "6: sites.a.disabled: found 1: write true or false"),
    "not a choice": ("    network", "    attach: rooter\n    network", "6: sites.a.attach: found 'rooter': it has to be 'local', 'router' or 'direct' (did you mean router?)"),
    "not a market": ("image: any", "image: any, market: [spot, sport]", "13: pools.cpu.offers[0].market[1]: found 'sport': it has to be 'on-demand' or 'spot' (did you mean spot"),
    "unknown connector": ("connector: local", "connector: lokal", "5: sites.a.connector: no connector 'lokal' is installed (did you mean local?); there are: breaks, ec2, local"),
    "unknown LRMS": ("cluster: demo", "cluster: demo\nlrms: {type: pbs}", "2: lrms.type: no LRMS 'pbs' is installed; there are: slurm"),
    "unknown overlay": ("0.0/16}", "0.0/16, type: falt}", "2: overlay.type: no overlay 'falt' is installed (did you mean flat?); there are: flat, narrow"),
    "unknown site": ("site: a", "site: b", "13: pools.cpu.offers[0].site: there is no site 'b'; there are: a"),
    "unknown flavor": ("flavor: small", "flavor: smal", "13: pools.cpu.offers[0].flavor: site a has no flavor 'smal' (did you mean small?); it has: small, gpu"),
    "offer smaller than its shape": ("cpus: 2, memory: 2G", "cpus: 4, memory: 2G", "13: pools.cpu.offers[0].flavor: flavor small of site a is smaller than the pool's shape"),
    "provides less": ("image: any", "image: any, provides: {cpus: 2, memory: 1GiB}", "13: pools.cpu.offers[0].provides: this offer is smaller than the pool's shape"),
    "offer twice": ("image: any}", "image: any}\n      - {site: a, flavor: small, image: other}", "14: pools.cpu.offers[1]: offers small at a (on-demand) twice: see line 13"),
    "no offers": ("    offers:\n      - {site: a, flavor: small, image: any}", "    offers: []", "12: pools.cpu.offers: is empty: a pool needs at least one offer"),
    "offers are a mapping": ("      - {site", "      {site", "12: pools.cpu.offers: has to be a list"),
    "node twice": ("cpu-[1-4]", '"cpu-[1-4],cpu-2"', "10: pools.cpu.nodes: names cpu-2 twice"),
    "not a hostlist": ("cpu-[1-4]", "cpu-[1-4", "10: pools.cpu.nodes: 'cpu-[1-4' is not a hostlist: a bracket too many"),
    "not a node": ("cpu-[1-4]", "cpu_[1-4]", "10: pools.cpu.nodes: 'cpu_1' cannot be a node: a node's name has letters, digits and hyphens"),
    "a word of Slurm": ("cpu-[1-4]", "default", "10: pools.cpu.nodes: 'default' cannot be a node: this word means something else to Slurm"),
    "too many nodes": ("cpu-[1-4]", "cpu-[1-70000]", "10: pools.cpu.nodes: 'cpu-[1-70000]' stands for more than 65,536 names"),
    "more warm than there are": ("    shape", "    keep_warm: 5\n    shape", "11: pools.cpu.keep_warm: 5 nodes, but the pool has 4"),
    "eager and warm": ("    shape", "    mode: eager\n    keep_warm: 1\n    shape", "12: pools.cpu.keep_warm: belongs to mode: planned"),
    "eager and auto": ("    shape", "    mode: eager\n    idle: auto\n    shape", "12: pools.cpu.idle: 'auto' belongs to mode: planned"),
    "eager and held": ("    shape", "    mode: eager\n    hold: 1min\n    shape", "12: pools.cpu.hold: belongs to mode: planned"),
    "max_wait alone": ("    shape", "    max_wait: 5min\n    shape", "11: pools.cpu.max_wait: says nothing without 'hold'"),
    "eager and consolidated": ("    shape", "    mode: eager\n    consolidate: true\n    shape", "12: pools.cpu.consolidate: belongs to mode: planned"),
    "no day": ("    shape", "    keep_warm: {nodes: 1, when: Mun-Fri 08:00-18:00}\n    shape", "11: pools.cpu.keep_warm.when: 'Mun' is no day (did you mean Sun or Mon?): write days, hours and a time zone"),
    "no hours": ("    shape", "    keep_warm: {nodes: 1, when: Mon-Fri}\n    shape", "11: pools.cpu.keep_warm.when: 'Mon-Fri' names no hours"),
    "no time of day": ("    shape", "    keep_warm: {nodes: 1, when: 08:00-25:00}\n    shape", "11: pools.cpu.keep_warm.when: 25:00 is no time of day"),
    "no time zone": ("    shape", "    keep_warm: {nodes: 1, when: 08:00-18:00 Europe/Prag}\n    shape", "11: pools.cpu.keep_warm.when: 'Europe/Prag' is no time zone (did you mean Europe/Prague or Europe/Paris?)"),
    "too much of a window": ("    shape", "    keep_warm: {nodes: 1, when: 08:00-18:00 UTC please}\n    shape", "11: pools.cpu.keep_warm.when: 'please' is too much after the time zone"),
    "a bad one of several": ("    shape", "    keep_warm: [1, {nodes: 2, when: Mon 9-17}]\n    shape", "11: pools.cpu.keep_warm[1].when: '9-17' are no hours: write them as 08:00-18:00"),
    "no share": ("    shape", "    disrupt: 0%\n    shape", "11: pools.cpu.disrupt: found '0%': write a share from 1% to 100%"),
    "a site as a feature": ("    shape", "    features: [a]\n    shape", "11: pools.cpu.features: a is a site"),
    "a market as a feature": ("    shape", "    features: [spot]\n    shape", "11: pools.cpu.features: spot is a market"),
    "a feature with a sign of constraints": ("    shape", '    features: ["x&y"]\n    shape', "11: pools.cpu.features[0]: 'x&y' cannot be a name"),
    "a partition twice": ("    shape", "    partitions: [p, p]\n    shape", "11: pools.cpu.partitions: names p twice"),
    "money without a rate": ("image: any", "image: any, price: 1 USD", "13: pools.cpu.offers[0].price: '1.00 USD' is not in EUR and has no rate: write under rates"),
    "money without a currency": ("image: any", "image: any, price: 1", "13: pools.cpu.offers[0].price: found 1: write a number and its unit, such as '25 EUR'"),
    "a budget in no time zone": ("cluster: demo", "cluster: demo\nbudget: {time_zone: Europe/Atlantis}", "2: budget.time_zone: 'Europe/Atlantis' is no time zone"),
    "a path as a time zone": ("cluster: demo", "cluster: demo\nbudget: {time_zone: ../etc/passwd}", "2: budget.time_zone: '../etc/passwd' is no time zone"),
    "no account": ("cluster: demo", "cluster: demo\nbudget: {accounts: {Physics: {per_day: 1 EUR}}}", "2: budget.accounts.Physics: 'Physics' is no account of Slurm's"),
    "a budget without a rate": ("cluster: demo", "cluster: demo\nbudget: {accounts: {physics: {per_month: 1 USD}}}", "2: budget.accounts.physics.per_month: '1.00 USD' is not in EUR"),
    "a pool's budget without a rate": ("    shape", "    budget: {per_day: 1 USD}\n    shape", "11: pools.cpu.budget.per_day: '1.00 USD' is not in EUR"),
    "a rate for nothing": ("cluster: demo", "cluster: demo\nrates: {euro: 2}", "2: rates.euro: is not a currency"),
    "a rate for the own currency": ("cluster: demo", "cluster: demo\nrates: {EUR: 2}", "2: rates.EUR: is the cluster's own currency"),
    "a rate of nothing": ("cluster: demo", "cluster: demo\nrates: {USD: 0}", "2: rates.USD: 0 has to be more than 0"),
    "no range": ("10.77.1.0/24", "workers", "6: sites.a.network: found 'workers': this connector needs a range"),
    "a range elsewhere": ("10.77.1.0/24", "10.78.1.0/24", "6: sites.a.network: 10.78.1.0/24 is not a part of the overlay's network 10.77.0.0/16"),
    "no network": ("10.77.0.0/16", "10.77.0.1/16", "2: overlay.network: '10.77.0.1/16' is not a network"),
    "nowhere to enrol": ("overlay: {network: 10.77.0.0/16}", "enrolment: {}", "2: enrolment: cannot tell where workers find it"),
    "not an address": ("cluster: demo", "cluster: demo\nenrolment: {listen: everywhere}", "2: enrolment.listen: 'everywhere' is not an address: write host:port"),
    "a port that nobody can be told": ("cluster: demo", 'cluster: demo\nenrolment: {listen: "0.0.0.0:0"}', "2: enrolment.listen: port 0 is none that a VM could be told"),
    "a router for a local site": ("    network", "    router: {flavor: small, image: r}\n    network", "6: sites.a.router: belongs to attach: router, and this site has attach: local"),
    "accounts of the system": ("cluster: demo", "cluster: demo\naccounts: {uids: 0-60000}", "2: accounts.uids: 0-60000: it begins at 500 or above (below are system accounts) and rises"),
    "no range of accounts": ("cluster: demo", "cluster: demo\naccounts: {uids: 1000}", "2: accounts.uids: found 1000: write the first and the last user id: 1000-59999"),
    "a share of everything": ("cluster: demo", "cluster: demo\nshares: [{path: /}]", "2: shares[0].path: '/' cannot be shared"),
    "a share with suid": ("cluster: demo", "cluster: demo\nshares: [{path: /home, options: 'hard,suid'}]", "2: shares[0].options: suid is not allowed here: every share is mounted nosuid and nodev"),
    "options of a shell": ("cluster: demo", "cluster: demo\nshares: [{path: /home, options: 'hard;id'}]", "2: shares[0].options: 'hard;id' are no options"),
    "a share in a share": ("cluster: demo", "cluster: demo\nshares: [{path: /home}, {path: /home/a}]", "2: shares[1].path: /home/a and /home lie in each other"),
    "a tenant network that is none": ("    network", "    tenant_networks: 10.0.0.1/8\n    network", "6: sites.a.tenant_networks: '10.0.0.1/8' is not a network"),
    "a range that the overlay refuses": ("10.77.1.0/24", "10.77.66.0/24", "6: sites.a.network: does not please"),
    "a port too high": ("cluster: demo", 'cluster: demo\nenrolment: {listen: "a:70000"}', "2: enrolment.listen: 'a:70000' is not an address"),
    "a relative path": ("cluster: demo", "cluster: demo\nstate: var", "2: state: 'var' is not an absolute path"),
    "a long socket": ("cluster: demo", f"cluster: demo\nsocket: /{'x' * 107}", "2: socket: "),
    "not a name": ("cluster: demo", "cluster: de/mo", "1: cluster: 'de/mo' cannot be a name"),
    "a pool that is not a name": ("  cpu:", '  "c,u":', "9: pools.c,u: 'c,u' cannot be a name"),
    "a list for a mapping": ("{cpus: 2, memory: 2GiB}", "[1, 2]", "11: pools.cpu.shape: has to hold keys and values (cpus, memory, gpus)"),
    "pace upside down": ("cluster: demo", "cluster: demo\npace: {retry_offer: 1h}", "2: pace.retry_offer: is longer than retry_offer_longest, which is 30 min"),
    "an API for strangers": ("cluster: demo", "cluster: demo\napi: {listen: 127.0.0.1:8444}", "2: api.listen: needs 'oidc', so that it is known who calls: add it, or remove 'listen' and use the sockets"),
    "an API in the clear": ("cluster: demo", f"cluster: demo\napi: {{listen: 10.0.0.1:8444, oidc: {OIDC}}}", "2: api.listen: 10.0.0.1 is reached by other machines, and without TLS tokens could be read on their way: add certificate_file and key_file"),
    "an API in the clear by name": ("cluster: demo", f"cluster: demo\napi: {{listen: localhost:8444, oidc: {OIDC}}}", "2: api.listen: localhost is reached by other machines"),
    "a certificate without a key": ("cluster: demo", f"cluster: demo\napi: {{listen: 10.0.0.1:8444, certificate_file: /a.pem, oidc: {OIDC}}}", "2: api: 'key_file' is missing: a certificate and its key belong together"),
    "an issuer in the clear": ("cluster: demo", f"cluster: demo\napi: {{listen: 127.0.0.1:8444, oidc: {OIDC.replace('https', 'http')}}}", "2: api.oidc.issuer: 'http://iam.example.org/' is not an issuer: write its https:// URL"),
    "an algorithm for all": ("cluster: demo", f"cluster: demo\napi: {{listen: 127.0.0.1:8444, oidc: {OIDC.replace('scope:', 'algorithms: [RS256, HS256], scope:')}}}", "2: api.oidc.algorithms[1]: 'HS256' is not taken (whoever can check such a token can make one): one of RS256"),
    "an algorithm that is none": ("cluster: demo", f"cluster: demo\napi: {{listen: 127.0.0.1:8444, oidc: {OIDC.replace('scope:', 'algorithms: none, scope:')}}}", "2: api.oidc.algorithms: 'none' is not taken (whoever can check such a token can make one)"),
    "no audience": ("cluster: demo", f"cluster: demo\napi: {{listen: 127.0.0.1:8444, oidc: {OIDC.replace('audience: clues, ', '')}}}", "2: api.oidc: 'audience' is missing: A token has to be made for this"),
    "no scope": ("cluster: demo", f"cluster: demo\napi: {{listen: 127.0.0.1:8444, oidc: {OIDC.replace('scope: clues, ', '')}}}", "2: api.oidc: 'scope' is missing: A token has to have all of these scopes."),
    "a role for nobody": ("cluster: demo", f"cluster: demo\napi: {{listen: 127.0.0.1:8444, oidc: {OIDC.replace(', roles: {reader: scope=clues}', '')}}}", "2: api.oidc: 'roles' is missing: without one nobody may do anything"),
    "a role that is no claim": ("cluster: demo", f"cluster: demo\napi: {{listen: 127.0.0.1:8444, oidc: {OIDC.replace('scope=clues', 'admins')}}}", "2: api.oidc.roles.reader: 'admins' is no claim: write NAME=VALUE"),
    "a clock far off": ("cluster: demo", f"cluster: demo\napi: {{listen: 127.0.0.1:8444, oidc: {OIDC.replace('scope:', 'leeway: 1h, scope:')}}}", "2: api.oidc.leeway: is longer than two minutes: set the clocks right with NTP"),
    "a share above all": ("cluster: demo", "cluster: demo\npace: {memory_share: 1.1}", "2: pace.memory_share: 1.1 is more than 1"),
    "a plugin that breaks": ("    connector: local\n    network: 10.77.1.0/24\n    flavors: {", "    connector: breaks\n    anything: x\n#", "4: sites.a: the plugin failed to check its keys: KeyError: "),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_MISTAKE)
def test_a_mistake_is_told_once_with_its_line_and_its_cure(tmp_path: Path, name: str) -> None:
    old, new, told = ONE_MISTAKE[name]
    assert SMALL.count(old) >= 1
    found = errors(tmp_path, SMALL.replace(old, new, 1))
    assert len(found) == 1, found
    assert found[0].startswith(f"clues.yaml:{told}"), found[0]


def test_all_mistakes_of_a_file_are_told_at_once_in_its_order(tmp_path: Path) -> None:
    changes = {
        "cluster: deep ": "cluster: de ep",
        "{vms: 40,": "{vms: many,",
        "clouds.yaml": "clouds.yaml\n    colour: red",
        "region: eu-west-1": "region: mars",
        "30GiB": "30Gb",
        "idle: by-price": "idle: 10",
        "site: upv,": "site: ups,",
        "gpu-[01-16]": "cpu-[099-102]",
        "64GiB": "32GiB",
    }
    text = EXAMPLE
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), PLUGINS)
    told = str(caught.value).splitlines()
    assert len(told) == len(changes)
    lines = [int(line.split(":")[1]) for line in told]
    assert lines == sorted(lines)


def test_two_pools_with_one_node_name_are_told_with_the_names(tmp_path: Path) -> None:
    found = errors(tmp_path, EXAMPLE.replace("gpu-[01-16]", "CPU-[099-102]"))
    assert [error.split(": ", 1)[1] for error in found] == [
        "pools.gpu.nodes: CPU-[099-100] is in pool cpu already: a node belongs to one pool"
    ]


def test_all_pools_together_have_no_more_nodes_than_slurm(tmp_path: Path) -> None:
    text = EXAMPLE.replace("cpu-[001-100]", "cpu-[1-40000]").replace("gpu-[01-16]", "gpu-[1-40000]")
    assert errors(tmp_path, text) == [
        "clues.yaml:43: pools: there are 80,000 nodes in all pools together: Slurm has at most 65,536"
    ]


def test_sites_do_not_share_addresses(tmp_path: Path) -> None:
    second = "  b: {connector: local, network: 10.77.1.128/25, flavors: {}}\npools:"
    assert errors(tmp_path, SMALL.replace("pools:", second)) == [
        "clues.yaml:8: sites.b.network: 10.77.1.128/25 overlaps 10.77.1.0/24 of site a: one address would be two workers'"
    ]


def test_an_overlay_that_cannot_carry_a_site_is_told(tmp_path: Path) -> None:
    text = SMALL.replace("0.0/16}", "0.0/16, type: narrow}").replace("    network:", "    attach: router\n    network:")
    assert errors(tmp_path, text) == ["clues.yaml:6: sites.a.attach: the overlay 'narrow' has only: local"]


ROUTER = SMALL.replace("0.0/16}", "0.0/16, public: head}").replace(
    "    network:", "    attach: router\n    router: {flavor: small, image: r}\n    network:"
)

#: What is changed in a small example with a router, and the one mistake that this has to be.
ROUTER_MISTAKE: dict[str, tuple[str, str, str]] = {
    "no router": ("    router: {flavor: small, image: r}\n", "", "6: sites.a.attach: 'router' needs a router VM: write router: {flavor: ..., image: ...} beside it"),
    "nowhere to call": (", public: head", "", "6: sites.a.attach: 'router' needs overlay.public: where VMs of other sites call the front-end"),
    "a router without an image": (", image: r", "", "7: sites.a.router: 'image' is missing: The image that the router starts from."),
    "no such flavor": ("flavor: small, image: r", "flavor: smal, image: r", "7: sites.a.router.flavor: site a has no flavor 'smal' (did you mean small?); it has: small, gpu"),
    "a name for a range": ("10.77.1.0/24", "workers", "8: sites.a.network: found 'workers': attach: router needs a range, with its first address"),
    "no range": ("    network: 10.77.1.0/24\n", "", "4: sites.a: 'network' is missing: attach: router needs a range"),
    "a router's price without a rate": ("image: r", "image: r, price: 1 USD", "7: sites.a.router.price: '1.00 USD' is not in EUR and has no rate"),
    "an endpoint that is none": ("image: r", "image: r, public: 'a b'", "7: sites.a.router.public: 'a b' is not an address"),
    "two markets": ("image: r", "image: r, market: [spot]", "7: sites.a.router.market: found a list: it has to be 'on-demand' or 'spot'"),
}  # fmt: skip


@pytest.mark.parametrize("name", ROUTER_MISTAKE)
def test_a_mistake_about_a_router_is_told_once(tmp_path: Path, name: str) -> None:
    old, new, told = ROUTER_MISTAKE[name]
    assert errors(tmp_path, ROUTER) == []
    found = errors(tmp_path, ROUTER.replace(old, new, 1))
    assert len(found) == 1, found
    assert found[0].startswith(f"clues.yaml:{told}"), found[0]


@pytest.mark.parametrize("key", ["password", "client_secret", "auth-token", "api_key", "PASSWORD", "access_key_id"])
@pytest.mark.parametrize("where", ["cluster: demo\n", "    connector: local\n    "])
def test_a_secret_is_refused_and_never_shown(tmp_path: Path, key: str, where: str) -> None:
    found = errors(tmp_path, SMALL.replace(where, f"{where}{key}: hunter2\n{' ' * where.count('local') * 4}"))
    assert len(found) == 1
    assert "secrets do not belong in this file: name a file or a systemd credential" in found[0]
    assert "hunter2" not in found[0]


@pytest.mark.parametrize(
    "written",
    [
        "password: &hunter2 x",
        "password: *hunter2",
        "password: !hunter2 x",
        "password: !hunter2!x y",
        'password: "hunter2',
        "password: hunter2: x",
        "password: [hunter2",
        "password: @hunter2",
        "password: 'hunter2' x",
        "password:\thunter2",
        "password: {a: hunter2}",
        "endpoint: https://me:hunter2@one.example/",
        "passwordhunter2",
    ],
)
def test_a_broken_line_with_a_secret_does_not_show_it(tmp_path: Path, written: str) -> None:
    found = errors(tmp_path, f"cluster: demo\n{written}\nsites: {{}}\npools: {{}}\n")
    assert found
    assert "hunter2" not in "\n".join(found)


def test_a_password_in_a_url_is_a_secret_too(tmp_path: Path) -> None:
    found = errors(tmp_path, EXAMPLE.replace("https://one", "https://me:hunter2@one"))
    assert [error.split(": ")[1:] for error in found] == [
        ["sites.upv.endpoint", "secrets do not belong in this file", "name a file or a systemd credential"]
    ]


def test_a_key_that_names_a_place_for_a_secret_is_no_secret(tmp_path: Path) -> None:
    found = errors(tmp_path, SMALL.replace("    network", "    token_file: /etc/token\n    network"))
    assert len(found) == 1
    assert "token_file: this key is not known here" in found[0]


def test_strange_keys_cannot_forge_lines_of_the_report(tmp_path: Path) -> None:
    found = errors(tmp_path, SMALL + '"a\\nclues.yaml:1: all is well\\e[2J": 1\n')
    assert len(found) == 1
    assert len(found[0].splitlines()) == 1
    assert "\x1b" not in found[0]


def test_very_many_mistakes_are_counted(tmp_path: Path) -> None:
    found = errors(tmp_path, SMALL + "".join(f"key{number}: 1\n" for number in range(500)))
    assert len(found) == 101
    assert found[-1] == "clues.yaml: and 400 more mistakes"


def test_an_api_for_other_machines_is_read(tmp_path: Path) -> None:
    text = f"cluster: demo\napi: {{listen: 0.0.0.0:8444, certificate_file: /a.pem, key_file: api-key, rate: 5, oidc: {OIDC}}}"
    api = load(write(tmp_path, SMALL.replace("cluster: demo", text)), PLUGINS).api
    assert api.listening is not None
    assert (str(api.listening.endpoint), api.listening.oidc.readers) == ("0.0.0.0:8444", (("scope", "clues"),))
    assert (api.listening.oidc.issuer, api.rate) == ("https://iam.example.org/", 5.0)


def test_without_a_word_nothing_listens(tmp_path: Path) -> None:
    assert load(write(tmp_path, SMALL), PLUGINS).api.listening is None
