"""A client of the emulator that owes nothing to the connector: the standard library's."""

from __future__ import annotations

import xml.etree.ElementTree as ET
import xmlrpc.client
from typing import Any

ME = "clues:s3cret:with colon"
AUTHENTICATION, AUTHORIZATION, NO_EXISTS, ACTION = 0x100, 0x200, 0x400, 0x800
API, INTERNAL, ALLOCATE = 0x1000, 0x2000, 0x4000


class Client:
    """Calls the emulator as a user."""

    def __init__(self, url: str, session: str = ME) -> None:
        self._proxy, self._session = xmlrpc.client.ServerProxy(url + "/RPC2"), session

    def raw(self, method: str, *arguments: Any) -> Any:
        """Return the whole reply."""
        return getattr(self._proxy, method)(self._session, *arguments)

    def ok(self, method: str, *arguments: Any) -> Any:
        """Return the value of a reply that has to be a success."""
        reply = self.raw(method, *arguments)
        assert reply[0] is True, reply
        return reply[1]

    def xml(self, method: str, *arguments: Any) -> ET.Element:
        """Return the same as XML."""
        return ET.fromstring(self.ok(method, *arguments))  # noqa: S314

    def fails(self, method: str, *arguments: Any) -> tuple[int, str]:
        """Return code and words of a reply that has to be a failure."""
        reply = self.raw(method, *arguments)
        assert reply[0] is False, reply
        return reply[2], reply[1]

    def make(self, extra: str = "", *, template: int = 0, name: str = "", hold: bool = False) -> int:
        """Make a VM."""
        vm = self.ok("one.template.instantiate", template, name, hold, extra)
        assert isinstance(vm, int)
        return vm

    def refused(self, extra: str, *, template: int = 0) -> tuple[int, str]:
        """Make a VM, which has to fail."""
        return self.fails("one.template.instantiate", template, "", False, extra)

    def vm(self, vm: int) -> ET.Element:
        """Return a VM."""
        return self.xml("one.vm.info", vm)

    def state(self, vm: int) -> tuple[int, int]:
        """Return STATE and LCM_STATE."""
        found = self.vm(vm)
        return int(found.findtext("STATE", "")), int(found.findtext("LCM_STATE", ""))

    def end(self, vm: int) -> Any:
        """Return the reply to terminate-hard."""
        return self.raw("one.vm.action", "terminate-hard", vm)
