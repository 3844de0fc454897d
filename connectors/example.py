"""A connector to copy: it speaks to Pebble, a cloud that does not exist (`clues/testing/pebble.py` plays it).

Everything that is the same for all clouds is in `connectors.common`: one driver for each thread, pace, one launch for
each key, what belongs to us. What is left is what differs: the configuration, what an error means, and how this
provider lists, makes and ends one VM. `docs/how-to/write-a-connector.md` goes through it part by part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from libcloud.common.base import Connection, JsonResponse
from pydantic import BaseModel, ConfigDict, Field

from clues.config.fields import Duration
from clues.errors import AuthFailed, CloudError, InvalidRequest, NoCapacity, NotFound, QuotaExceeded, Transient
from clues.model import (
    Finding,
    Flavor,
    Gpu,
    Instance,
    InstanceState,
    LaunchRequest,
    Limits,
    Offer,
    Price,
    Quota,
    Resources,
    Soundness,
    make_gpus,
)
from clues.ports import PluginContext
from connectors.common import credentials
from connectors.common.cloud import CloudConnector
from connectors.common.drivers import Drivers, bound
from connectors.common.failures import Failures, Refused, Rule, wait_of
from connectors.common.pace import Gate
from connectors.common.tags import tagged, tags_of


class ExampleConfig(BaseModel):
    """The site's own keys in clues.yaml; the descriptions are for sysadmins, in `clues config reference`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str = Field(pattern=r"^https?://[^\s?#@]+$", description="URL of the API, without the version.")
    credentials: str = Field(
        min_length=1, description="Systemd credential, or file that only cluesd can read, with the account's token."
    )
    timeout: Duration = Field(timedelta(seconds=30), description="How long each piece of a reply is waited for.")
    calls_per_second: float = Field(10.0, gt=0, le=1000, description="How many calls are sent in a second.")
    concurrency: int = Field(4, ge=1, le=64, strict=True, description="How many calls are under way at once.")


#: What the provider's errors mean: by its code where it has one, by the status else. The first that matches decides;
#: 401 and 429 need no line, and what no line knows is unknown where a VM may have been made, else transient.
FAILURES = Failures(
    [
        Rule(NoCapacity, code="no_capacity"),
        Rule(QuotaExceeded, code="quota_exceeded"),
        Rule(Transient, code="busy|maintenance"),
        Rule(AuthFailed, status=403),
        Rule(NotFound, status=404),
        Rule(InvalidRequest, status=(400, 422)),
    ]
)
#: A state that is not here is UNKNOWN, which nothing is decided from.
STATES = {
    "building": InstanceState.PENDING,
    "active": InstanceState.RUNNING,
    "ending": InstanceState.STOPPING,
    "halted": InstanceState.STOPPED,
    "failed": InstanceState.ERROR,
}
_MOST_PAGES = 1000


class _Response(JsonResponse):
    def success(self) -> bool:
        return 200 <= int(self.status) < 300

    def parse_error(self) -> None:
        try:
            error = json.loads(self.body or "")["error"]
            code, words = str(error["code"]), str(error["message"])
        except (ValueError, LookupError, TypeError):
            code, words = "", self.body or f"{self.status} {self.error}"  # of a proxy on the way
        raise Refused(int(self.status), words, code=code, retry_after=wait_of(self.headers.get("retry-after")))


class Api(Connection):
    """One connection to Pebble."""

    responseCls = _Response  # noqa: N815 - libcloud's own name

    def __init__(self, config: ExampleConfig) -> None:
        super().__init__(url=config.endpoint)  # type: ignore[no-untyped-call]
        bound(self, config.timeout.total_seconds())
        self._token = credentials.read(credentials.find(config.credentials))

    def add_default_headers(self, headers: dict[str, str]) -> dict[str, str]:
        """Log in."""
        return {**headers, "Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}

    def ask(self, method: str, *path: str, query: Mapping[str, str] | None = None, send: object = None) -> Any:
        """Return the body of one reply."""
        action = "/v1/" + "/".join(quote(part, safe="") for part in path)
        if query:
            action += "?" + urlencode(query)
        data = None if send is None else json.dumps(send)
        return self.request(action, method=method, data=data).object  # type: ignore[no-untyped-call]


class ExampleConnector(CloudConnector[Api]):
    """One account at Pebble."""

    def __init__(self, config: ExampleConfig, context: PluginContext) -> None:
        gate = Gate(config.calls_per_second, config.concurrency)
        super().__init__(context, Drivers(lambda: Api(config)), FAILURES, gate)

    def read_all(self, driver: Api) -> list[Instance]:
        """Return all pages, or raise: half a listing would look like VMs that are gone."""
        found: list[Instance] = []
        after = ""
        for _ in range(_MOST_PAGES):
            page = driver.ask("GET", "servers", query={"after": after} if after else None)
            found += [self._instance(server) for server in page["servers"]]
            if not page["next"]:
                return found
            after = page["next"]
        raise Transient(f"the listing does not end after {_MOST_PAGES} pages")

    def read(self, driver: Api, instance_id: str) -> Instance:
        """Return one VM, whoever owns it."""
        return self._instance(driver.ask("GET", "servers", instance_id))

    def create(self, driver: Api, request: LaunchRequest) -> Instance:
        """Have one made. The tags go with the request: a VM without them would be nobody's."""
        offer = request.offer
        asked = {"name": request.node, "flavor": offer.flavor, "image": offer.image, "user_data": request.user_data}
        return self._instance(driver.ask("POST", "servers", send={**asked, "labels": tags_of(request)}))

    def destroy(self, driver: Api, instance: Instance) -> None:
        """End one."""
        driver.ask("DELETE", "servers", instance.id)

    def read_quota(self, driver: Api) -> Quota:
        """Return limits and use."""
        told = driver.ask("GET", "quota")
        used = Resources(told["used"]["cpus"], told["used"]["memory_mib"])
        return Quota(Limits(vms=told["limits"]["servers"]), used, told["used"]["servers"])

    def read_flavors(self, driver: Api) -> list[Flavor]:
        """Return the instance types with their prices."""
        return [
            Flavor(
                one["name"],
                Resources(one["cpus"], one["memory_mib"], make_gpus(Gpu(*gpu) for gpu in one["gpus"].items())),
                one["price"]["amount"],
                one["price"]["currency"],
            )
            for one in driver.ask("GET", "flavors")["flavors"]
        ]

    def prices(self, offers: Sequence[Offer]) -> Mapping[str, Price]:
        """Return what the flavors cost."""
        flavors = {flavor.name: flavor for flavor in self.flavors()} if offers else {}
        return {
            offer.key: Price(flavor.price_per_hour, flavor.currency, "the provider's list of flavors")
            for offer in offers
            if (flavor := flavors.get(offer.flavor)) is not None and flavor.price_per_hour is not None
        }

    def console(self, instance_id: str) -> str:
        """Return the end of a console, of our own VMs only."""
        found = self.call(f"look at {instance_id}", lambda driver: self.read(driver, instance_id))
        if found.cluster != self.cluster:
            raise NotFound(f"this cluster has no instance {instance_id}")
        doing = f"read the console of {instance_id}"
        return str(self.call(doing, lambda driver: driver.ask("GET", "servers", instance_id, "console")["text"]))

    def examine(self, offers: Sequence[Offer]) -> list[Finding]:
        """Look whether we are let in, and whether the offers' flavors exist."""
        try:
            known = {flavor.name for flavor in self.flavors()}
        except CloudError as error:
            cure = "put a valid token there" if isinstance(error, AuthFailed) else "see whether the endpoint is right"
            return [Finding("account", Soundness.BAD, str(error), cure)]
        found = [Finding("account", Soundness.GOOD, "the provider lets us in")]
        for name in sorted({offer.flavor for offer in offers}):
            if name in known:
                found.append(Finding(f"flavor {name}", Soundness.GOOD, "is there"))
            else:
                found.append(Finding(f"flavor {name}", Soundness.BAD, "is not there", "correct the offer"))
        return found

    def _instance(self, server: Mapping[str, Any]) -> Instance:
        labels = server["labels"]
        return tagged(
            labels if isinstance(labels, dict) else {},
            instance_id=str(server["id"]),
            site=self.site,
            state=STATES.get(server["state"], InstanceState.UNKNOWN),
            addresses=(str(server["address"]),),
            created_at=datetime.fromisoformat(server["created"]),
        )


class ExamplePlugin:
    """What an entry point of the group ``clues.connectors`` would name."""

    Config: type[Any] = ExampleConfig

    def build(self, config: ExampleConfig, context: PluginContext) -> ExampleConnector:
        """Return the connector of one site; asks nobody yet."""
        return ExampleConnector(config, context)


PLUGIN = ExamplePlugin()
