"""What the entry point ``ec2`` names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clues.ports import PluginContext
from connectors.ec2.config import Ec2Config

if TYPE_CHECKING:
    from connectors.ec2.connector import Ec2Connector


class Ec2Plugin:
    """The connector of AWS EC2, before it is told about a site."""

    Config: type[Any] = Ec2Config
    #: a site's ``network`` is the range of its subnet
    network_is_cidr = True
    #: how a spot VM hears that it is to go
    spot_notices = "ec2"

    def proof(self, config: Ec2Config) -> str:
        """Return what a VM brings of AWS's word about it: its signed identity document, where that can be checked."""
        return "ec2" if config.identity_certificates is not None else ""

    def doubt(self, config: Ec2Config, instance_id: str, proof: str) -> str:
        """Return why *proof* does not show that its sender is this instance; empty when it does."""
        from connectors.ec2.proof import what_is_wrong

        if config.identity_certificates is None:
            return ""
        return what_is_wrong(proof, config.identity_certificates, instance_id, config.region)

    def build(self, config: Ec2Config, context: PluginContext) -> Ec2Connector:
        """Return the connector of one site. Nothing is asked of AWS yet, and no keys are read."""
        # a configuration can be checked without libcloud, which takes its time to load
        from connectors.ec2.connector import Ec2Connector

        return Ec2Connector(config, context)


PLUGIN = Ec2Plugin()
