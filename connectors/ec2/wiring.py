"""What makes a VM a router to EC2: it may pass on what is not for itself, and the subnet's routes lead to it.

Both are set from what is seen, again and again until they hold: the daemon may have died right after the launch.
"""

from __future__ import annotations

from connectors.ec2.api import Ec2Driver, Refused, text
from connectors.ec2.instances import Seen


def wire(driver: Ec2Driver, router: Seen, table: str, ranges: tuple[str, ...]) -> None:
    """Let *router* pass on packets, and lead *ranges* to it in the route table, where one is given.

    :raises Refused: EC2 does not do it, or a range is led elsewhere already by somebody else.
    """
    if router.checked:
        driver.ask("ModifyInstanceAttribute", {"InstanceId": router.instance.id, "SourceDestCheck.Value": "false"})
    for network in ranges if table else ():
        _lead(driver, {"RouteTableId": table, "DestinationCidrBlock": network}, router.interface)


def _lead(driver: Ec2Driver, route: dict[str, str], interface: str) -> None:
    wanted = {**route, "NetworkInterfaceId": interface}
    try:
        driver.ask("CreateRoute", wanted)
        return
    except Refused as error:
        if error.code != "RouteAlreadyExists":
            raise
    target = _target(driver, route)
    if target == interface:
        return
    if not target.startswith(("eni-", "i-", "blackhole")):
        # a gateway, a peering: not what a former router of ours has left behind
        network, table = route["DestinationCidrBlock"], route["RouteTableId"]
        raise Refused(409, "RouteAlreadyExists", f"{table} leads {network} to {target}: take that route away")
    driver.ask("ReplaceRoute", wanted)


def _target(driver: Ec2Driver, route: dict[str, str]) -> str:
    """Return where a route leads."""
    answer = driver.ask("DescribeRouteTables", {"RouteTableId.1": route["RouteTableId"]})
    for item in answer.findall("routeTableSet/item/routeSet/item"):
        if text(item, "destinationCidrBlock") != route["DestinationCidrBlock"]:
            continue
        if text(item, "state") == "blackhole":
            return "blackhole"
        kinds = ("networkInterfaceId", "instanceId", "gatewayId", "vpcPeeringConnectionId", "transitGatewayId")
        return next(filter(None, (text(item, kind) for kind in kinds)), "something else")
    return "blackhole"
