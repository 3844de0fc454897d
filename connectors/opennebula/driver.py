"""A libcloud driver for OpenNebula 5.12 to 7.x over its XML-RPC API.

libcloud's own driver speaks OCCI, which these versions do not have any more. This one needs nothing but libcloud and
its two neighbours, :mod:`.xmlrpc` and :mod:`.records`; it is registered as ``opennebula_xmlrpc``. What libcloud has no
word for begins with ``ex_``, as is the custom there.

An answer is ``[ok, value or words, code]``, a failure has two items more; both are read by index.
"""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

from libcloud.common.base import ConnectionUserAndKey, Response
from libcloud.common.types import LibcloudError
from libcloud.compute.base import Node, NodeDriver, NodeImage, NodeSize
from libcloud.compute.providers import get_driver, set_driver
from libcloud.compute.types import NodeState

from connectors.opennebula import records, xmlrpc
from connectors.opennebula.records import Attributes, Image, Network, Template, User, Vm
from connectors.opennebula.xmlrpc import Unreadable

PROVIDER = "opennebula_xmlrpc"
T = TypeVar("T")

_NODE_STATES: Mapping[int, NodeState] = {
    **dict.fromkeys((0, 1, 2, 10), NodeState.PENDING),
    **dict.fromkeys((4, 8, 9), NodeState.STOPPED),
    3: NodeState.RUNNING,
    5: NodeState.SUSPENDED,
    6: NodeState.TERMINATED,
    11: NodeState.ERROR,
}

#: Filters of the pools: whose objects are listed.
MINE, MINE_AND_GROUPS, VISIBLE, GROUP = -3, -1, -2, -4
#: Filters of the VM pool: in which state.
NOT_DONE, ANY_STATE = -1, -2


class OpenNebulaError(LibcloudError):
    """OpenNebula understood a call and refused it: its numeric code (``0x0200``) and its words."""

    def __init__(self, method: str, code: int, words: str) -> None:
        super().__init__(words)
        self.method, self.code, self.words = method, code, words

    def __str__(self) -> str:
        return f"{self.method}: {self.words} (0x{self.code:04x})"

    __repr__ = __str__


class OpenNebulaFault(OpenNebulaError):
    """OpenNebula did not understand a call (an XML-RPC fault): of another version, or something else altogether."""


class OpenNebulaUnreadable(LibcloudError):
    """What came back is no answer of OpenNebula's. Quotes nothing of it, since it may hold secrets."""

    def __init__(self, method: str, why: str) -> None:
        super().__init__(f"the answer to {method} cannot be read: {why}")
        self.method = method

    def __str__(self) -> str:
        return str(self.value)

    __repr__ = __str__


class OpenNebulaHttpError(LibcloudError):
    """HTTP failed: nobody, or somebody else, answered in OpenNebula's place."""

    def __init__(self, status: int, words: str, headers: Mapping[str, str]) -> None:
        super().__init__(f"{status}: {words}")
        self.status, self.words, self.headers = status, words, headers


class OpenNebulaResponse(Response):
    """A reply, decoded as UTF-8 whatever its header says or leaves out."""

    def __init__(self, response: Any, connection: Any) -> None:
        # libcloud's own constructor would have `requests` guess the encoding, which takes seconds for a long listing
        self.connection, self.request = connection, response.request
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        self.status, self.error = response.status_code, response.reason
        self.body = response.content.decode("utf-8", "replace")
        if self.status != 200:
            raise OpenNebulaHttpError(self.status, self.body[:4000] or str(self.error), self.headers)
        self.object = self.body


class OpenNebulaConnection(ConnectionUserAndKey):
    """Calls methods, the session in front of their arguments."""

    responseCls = OpenNebulaResponse  # noqa: N815 - libcloud's own name
    path = "/RPC2"
    #: the front-end's time when it last answered, less ours
    skew_seconds: float | None = None

    def trust(self, ca: Path) -> None:
        """Verify the front-end's certificate with the CA certificates of this file, in place of the system's."""
        self.connect()  # type: ignore[no-untyped-call]
        self.connection.ca_cert = str(ca)  # type: ignore[union-attr]

    def add_default_headers(self, headers: dict[str, str]) -> dict[str, str]:
        """Close each connection: oned serves 15 at once, and an idle one takes the place of a caller."""
        return {**headers, "Content-Type": "text/xml", "Connection": "close"}

    def call(self, method: str, *arguments: bool | int | str) -> xmlrpc.Value:
        """Return the value that a method answers.

        :raises OpenNebulaError: it refuses.
        :raises OpenNebulaUnreadable: it answers something else.
        """
        body = xmlrpc.request(method, f"{self.user_id}:{self.key}", *arguments)
        said_so = False
        try:
            response = self.request(self.path, method="POST", data=body.encode())  # type: ignore[no-untyped-call]
            said_so = "close" in response.headers.get("connection", "").lower()
        finally:
            self.data = None  # libcloud keeps the last body, the session in it
            if not said_so and self.connection is not None:
                # it closes all the same, and the next request would be sent into that
                self.connection.session.close()  # type: ignore[union-attr]
        self._note_time(response.headers.get("date", ""))
        try:
            answer = xmlrpc.reply(response.object)
        except xmlrpc.Fault as fault:
            raise OpenNebulaFault(method, fault.code, fault.words) from None
        except Unreadable as error:
            raise OpenNebulaUnreadable(method, str(error)) from None
        if not isinstance(answer, list) or len(answer) < 3 or not isinstance(answer[0], bool):
            raise OpenNebulaUnreadable(method, "it is no success and no failure")
        ok, value, code = answer[0], answer[1], answer[2]
        if ok:
            return value
        raise OpenNebulaError(method, code if isinstance(code, int) else 0, str(value))

    def _note_time(self, told: str) -> None:
        try:
            theirs = parsedate_to_datetime(told)
        except ValueError:
            return
        self.skew_seconds = (theirs.replace(tzinfo=theirs.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


class OpenNebulaNodeDriver(NodeDriver):
    """OpenNebula: a size is a VM template, a node a VM."""

    name = "OpenNebula (XML-RPC)"
    website = "https://opennebula.io"
    type = PROVIDER
    connectionCls = OpenNebulaConnection  # noqa: N815 - libcloud's own name
    connection: OpenNebulaConnection

    def __init__(
        self,
        key: str,
        secret: str,
        secure: bool = True,
        host: str = "localhost",
        port: int = 2633,
        path: str = "/RPC2",
        **kwargs: Any,
    ) -> None:
        """:param key: the user; :param secret: the password, or a login token."""
        super().__init__(key, secret=secret, secure=secure, host=host, port=port, **kwargs)  # type: ignore[no-untyped-call]
        self.connection.path = path

    # --- libcloud's own -------------------------------------------------------------------------------------------

    def list_nodes(self) -> list[Node]:
        """Return our VMs that have not ended."""
        return [self._node(one) for one in self.ex_list_vms()]

    def list_sizes(self, location: Any = None) -> list[NodeSize]:
        """Return the VM templates that we may use."""
        return [self._size(one) for one in self.ex_list_templates()]

    def list_images(self, location: Any = None) -> list[NodeImage]:
        """Return the images that we may use."""
        return [NodeImage(str(one.id), one.name, self, {"owner": one.owner}) for one in self.ex_list_images()]

    def create_node(  # type: ignore[override]
        self, name: str, size: NodeSize, image: NodeImage | None = None, ex_attributes: Attributes = ()
    ) -> Node:
        """Instantiate a VM template.

        :param ex_attributes: are put over the template's own; a vector replaces all of its name.
        """
        if image is not None:
            ex_attributes = (*ex_attributes, ("DISK", {"IMAGE_ID": str(image.id)}))
        return self._node(self.ex_get_vm(self.ex_instantiate(int(size.id), name, ex_attributes)))

    def destroy_node(self, node: Node) -> bool:
        """End a VM, plug pulled. A VM that is booting refuses."""
        self.ex_terminate(int(str(node.id)))
        return True

    # --- OpenNebula's own -----------------------------------------------------------------------------------------

    def ex_version(self) -> str:
        """Return the version of the front-end."""
        return self._text("one.system.version")

    def ex_list_vms(self, which: int = MINE, first: int = -1, last: int = -1, state: int = NOT_DONE) -> list[Vm]:
        """Return VMs with all that belongs to them, their ids from *first* to *last*; -1 is no bound.

        The plain ``one.vmpool.info`` leaves out USER_TEMPLATE.
        """
        return self._pool("one.vmpool.infoextended", "VM_POOL", records.vm, which, first, last, state)

    def ex_list_vm_ids(self, which: int = MINE, state: int = NOT_DONE) -> list[int]:
        """Return the ids of VMs, in their order."""
        method = "one.vmpool.info"
        ids = self._pool(method, "VM_POOL", lambda one: records.number(one, "ID"), which, -1, -1, state)
        return sorted(ids)

    def ex_get_vm(self, vm: int) -> Vm:
        """Return one VM, ended ones too."""
        return self._reading("one.vm.info", "VM", records.vm, vm)

    def ex_instantiate(self, template: int, name: str, attributes: Attributes = (), *, hold: bool = False) -> int:
        """Make a VM and return its id. Asked twice it makes two: names may be the same."""
        method = "one.template.instantiate"
        made = self.connection.call(method, template, name, hold, records.render(attributes))
        if not isinstance(made, int) or isinstance(made, bool):
            raise OpenNebulaUnreadable(method, "it is no id of a VM")
        return made

    def ex_terminate(self, vm: int, *, hard: bool = True) -> None:
        """End a VM; it is refused while the VM boots, and only a hard one can follow another."""
        self.connection.call("one.vm.action", "terminate-hard" if hard else "terminate", vm)

    def ex_list_templates(self, which: int = VISIBLE) -> list[Template]:
        """Return VM templates."""
        return self._pool("one.templatepool.info", "VMTEMPLATE_POOL", records.template, which, -1, -1)

    def ex_list_images(self, which: int = VISIBLE) -> list[Image]:
        """Return images."""
        return self._pool("one.imagepool.info", "IMAGE_POOL", records.image, which, -1, -1)

    def ex_list_networks(self, which: int = VISIBLE) -> list[Network]:
        """Return virtual networks."""
        return self._pool("one.vnpool.info", "VNET_POOL", records.network, which, -1, -1)

    def ex_get_user(self) -> User:
        """Return ourselves."""
        return self._reading("one.user.info", "USER", records.user, -1)

    def ex_get_quotas(self) -> tuple[ET.Element, ET.Element, ET.Element, ET.Element]:
        """Return ourselves, our group, and the defaults for users and for groups, each with its quotas."""
        return (
            self._reading("one.user.info", "USER", _same, -1),
            self._reading("one.group.info", "GROUP", _same, -1),
            self._reading("one.userquota.info", "DEFAULT_USER_QUOTAS", _same),
            self._reading("one.groupquota.info", "DEFAULT_GROUP_QUOTAS", _same),
        )

    # --- replies --------------------------------------------------------------------------------------------------

    def _text(self, method: str, *arguments: bool | int | str) -> str:
        value = self.connection.call(method, *arguments)
        if not isinstance(value, str):
            raise OpenNebulaUnreadable(method, "it is no text")
        return value

    def _reading(self, method: str, tag: str, read: Callable[[ET.Element], T], *arguments: bool | int | str) -> T:
        """Return what *read* makes of the element that a method answers."""
        text = self._text(method, *arguments)
        try:
            root = xmlrpc.parse(text)
            if root.tag != tag:
                raise Unreadable(f"it holds no {tag}")
            return read(root)
        except Unreadable as error:
            raise OpenNebulaUnreadable(method, str(error)) from None

    def _pool(self, method: str, tag: str, read: Callable[[ET.Element], T], *arguments: int) -> list[T]:
        return self._reading(method, tag, lambda root: [read(one) for one in root], *arguments)

    def _node(self, vm: Vm) -> Node:
        addresses = [nic["IP"] for nic in vm.nics if nic.get("IP")]
        state = _NODE_STATES.get(vm.state, NodeState.UNKNOWN)
        created = datetime.fromtimestamp(vm.started, UTC)
        return Node(str(vm.id), vm.name, state, [], addresses, self, extra={"vm": vm}, created_at=created)

    def _size(self, template: Template) -> NodeSize:
        memory = int(template.number("MEMORY"))
        extra = {"template": template, "cpu": template.number("CPU"), "vcpu": int(template.number("VCPU", 1))}
        return NodeSize(str(template.id), template.name, memory, 0, None, 0.0, self, extra)


def _same(element: ET.Element) -> ET.Element:
    return element


def register() -> type[OpenNebulaNodeDriver]:
    """Make the driver known to libcloud under :data:`PROVIDER`, once."""
    with contextlib.suppress(AttributeError):  # libcloud knows it already
        set_driver(PROVIDER, __name__, OpenNebulaNodeDriver.__name__)  # type: ignore[arg-type]
    return get_driver(PROVIDER)  # type: ignore[return-value]
