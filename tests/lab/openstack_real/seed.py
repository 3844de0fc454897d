"""What an empty cloud is filled with, once: users, a project, flavors, an image, a network, quotas."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.lab.openstack_real.api import Api

#: Each service's name, type and the rest of its address.
SERVICES = {
    "keystone": ("identity", "/v3"),
    "nova": ("compute", "/v2.1"),
    "neutron": ("network", ""),
    "glance": ("image", ""),
    "placement": ("placement", ""),
}
REGION = "lab"
NETWORK, SUBNET, RANGE = "workers", "workers-v4", "10.77.1.0/24"
POOL = ("10.77.1.200", "10.77.1.250")
IMAGE = "clues-worker"

#: name: (CPUs, MiB, extra specs). The fake hypervisor has 1000 CPUs, 800,000 MiB and two GPUs.
FLAVORS: dict[str, tuple[int, int, dict[str, str]]] = {
    "small": (4, 4096, {}),
    "medium": (8, 16384, {}),
    "gpu.small": (4, 4096, {"resources:CUSTOM_GPU_A10": "1"}),
    "too.large": (4, 900_000, {}),
    "no.disk": (4, 4096, {}),
    # so that the list of flavors has a second page, as that of servers has
    **{f"other.{number}": (number, 1024 * number, {}) for number in range(1, 9)},
}
#: nova lets only administrators boot an image on a flavor without a disk: a refusal by policy
DISKLESS = "no.disk"
QUOTA = {"instances": 40, "cores": 400, "ram": 2_000_000, "server_groups": 50}


@dataclass(frozen=True, slots=True)
class Seeded:
    """What is known of a filled cloud; the passwords are in the same file."""

    project: str
    image: str
    #: the project that the image belongs to, as on clouds whose operators give images to all
    image_owner: str
    network: str
    subnet: str
    application_credential: str
    #: flavor ids by name
    flavors: Mapping[str, str]

    def to_json(self) -> str:
        """Return the text of its file."""
        return json.dumps(asdict(self), indent=1)

    @staticmethod
    def from_json(text: str) -> Seeded:
        """Return what a file says."""
        raw: dict[str, Any] = json.loads(text)
        return Seeded(**raw)


def people(admin: Api, passwords: Mapping[str, str]) -> None:
    """Make the services' own users and the two projects' users."""
    role = {one["name"]: one["id"] for one in admin.get("identity", "/roles")["roles"]}
    service = _project(admin, "service")
    if "service" not in role:
        role["service"] = admin.post("identity", "/roles", {"role": {"name": "service"}})["role"]["id"]
    for name in ("nova", "neutron", "glance", "placement"):
        user = _user(admin, name, passwords["service"])
        for one in ("admin", "service"):
            admin.put("identity", f"/projects/{service}/users/{user}/roles/{role[one]}")
    ours = _project(admin, "clues")
    user = _user(admin, "clues", passwords["user"])
    admin.put("identity", f"/projects/{ours}/users/{user}/roles/{role['member']}")
    # of the same project, allowed to look and nothing else
    reader = _user(admin, "reader", passwords["user"])
    admin.put("identity", f"/projects/{ours}/users/{reader}/roles/{role['reader']}")


def catalogue(admin: Api, urls: Mapping[str, str]) -> None:
    """Tell keystone where the other services are; keystone's bootstrap has told of itself."""
    for name, (kind, _) in SERVICES.items():
        if name == "keystone":
            continue
        body = {"service": {"name": name, "type": kind, "enabled": True}}
        service = admin.post("identity", "/services", body)["service"]["id"]
        for interface in ("public", "internal", "admin"):
            endpoint = {"interface": interface, "region_id": REGION, "service_id": service, "url": urls[kind]}
            admin.post("identity", "/endpoints", {"endpoint": endpoint})


def things(admin: Api, user: Api, secret: str) -> Seeded:
    """Make flavors, image, network and quotas; *secret* is the application credential's."""
    user.login()
    flavors = {name: _flavor(admin, name, *made) for name, made in FLAVORS.items()}
    image = admin.post(
        "image",
        "/v2/images",
        {"name": IMAGE, "visibility": "public", "disk_format": "raw", "container_format": "bare"},
    )["id"]
    octets = {"Content-Type": "application/octet-stream"}
    admin.call("PUT", "image", f"/v2/images/{image}/file", data=b"no image\n" * 64, headers=octets)
    body: dict[str, Any] = {
        "name": NETWORK,
        "project_id": user.project,
        "provider:network_type": "flat",
        "provider:physical_network": "physnet",
    }
    network = admin.post("network", "/v2.0/networks", {"network": body})["network"]["id"]
    body = {"name": SUBNET, "network_id": network, "ip_version": 4, "cidr": RANGE, "enable_dhcp": False}
    # neutron chooses from the pool only; what we reserve lies outside of it
    body |= {"project_id": user.project, "allocation_pools": [dict(zip(("start", "end"), POOL, strict=True))]}
    subnet = admin.post("network", "/v2.0/subnets", {"subnet": body})["subnet"]["id"]
    admin.put("compute", f"/os-quota-sets/{user.project}", {"quota_set": QUOTA})
    me = admin.get("identity", "/users?name=clues")["users"][0]["id"]
    credential = {"application_credential": {"name": "cluesd", "secret": secret, "unrestricted": False}}
    made = user.post("identity", f"/users/{me}/application_credentials", credential)
    return Seeded(user.project, image, admin.project, network, subnet, made["application_credential"]["id"], flavors)


#: neutron binds a port only where an agent says that it lives. Nothing here needs one: this row does, for ten years.
AGENT = """
INSERT INTO agents (id, agent_type, `binary`, topic, host, availability_zone, admin_state_up, created_at, started_at,
    heartbeat_timestamp, description, configurations, `load`)
VALUES (UUID(), 'Open vSwitch agent', 'neutron-openvswitch-agent', 'N/A', 'fake-1', 'nova', 1, NOW(), NOW(),
    NOW() + INTERVAL 10 YEAR, '', '{"bridge_mappings": {"physnet": "br-none"}, "datapath_type": "system",
    "tunnel_types": [], "tunneling_ip": "", "bridges": [], "extensions": []}', 0);
"""


#: In which cell the hypervisor is, which nova would otherwise have to be told once it is there.
HOST = """
INSERT INTO host_mappings (created_at, cell_id, host)
SELECT NOW(), id, 'fake-1' FROM cell_mappings WHERE name = 'cell1';
"""


def clouds_yaml(write: Callable[[str, str], Path], identity: str, seeded: Seeded, passwords: Mapping[str, str]) -> Path:
    """Write clouds.yaml: ``lab`` by application credential, ``lab-password`` and ``lab-reader`` by password.

    :param write: makes a private file of a name and a text.
    """
    common = f"    region_name: {REGION}\n    identity_api_version: 3\n"

    def by_password(user: str) -> str:
        return (
            f"    auth_type: v3password\n    auth:\n      auth_url: {identity}\n      username: {user}\n"
            f"      password: {passwords['user']}\n      project_name: clues\n"
            f"      user_domain_id: default\n      project_domain_id: default\n"
        )

    text = (
        f"clouds:\n  lab:\n{common}    auth_type: v3applicationcredential\n    auth:\n      auth_url: {identity}\n"
        f"      application_credential_id: {seeded.application_credential}\n"
        f"      application_credential_secret: {passwords['application']}\n"
        f"  lab-password:\n{common}{by_password('clues')}"
        f"  lab-reader:\n{common}{by_password('reader')}"
    )
    return write("clouds.yaml", text)


def _project(admin: Api, name: str) -> str:
    body = {"project": {"name": name, "domain_id": "default"}}
    made: str = admin.post("identity", "/projects", body)["project"]["id"]
    return made


def _user(admin: Api, name: str, password: str) -> str:
    body = {"user": {"name": name, "domain_id": "default", "password": password}}
    made: str = admin.post("identity", "/users", body)["user"]["id"]
    return made


def _flavor(admin: Api, name: str, cpus: int, memory: int, specs: Mapping[str, str]) -> str:
    body = {"flavor": {"name": name, "vcpus": cpus, "ram": memory, "disk": 0 if name == DISKLESS else 10}}
    made: str = admin.post("compute", "/flavors", body)["flavor"]["id"]
    if specs:
        admin.post("compute", f"/flavors/{made}/os-extra_specs", {"extra_specs": dict(specs)})
    return made
