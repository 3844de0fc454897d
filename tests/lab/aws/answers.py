"""Answers in EC2's form: what is mended in moto's, and refusals as AWS writes them."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

#: AWS's own namespace ends with a slash, moto's (5.2.5) does not: a client that looks for AWS's finds empty lists.
_MOTOS = b'xmlns="http://ec2.amazonaws.com/doc/2016-11-15"'
_AWS = b'xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"'

#: Status and words of refusals, by AWS's codes; the words are AWS's, as users quote them.
REFUSALS: Mapping[str, tuple[int, str]] = {
    "InsufficientInstanceCapacity": (
        500,
        "We currently do not have sufficient c7i.2xlarge capacity in the Availability Zone you requested (eu-west-1a).",
    ),
    "InsufficientHostCapacity": (500, "There is not enough capacity to fulfill your Dedicated Host request."),
    "InsufficientFreeAddressesInSubnet": (400, "There are not enough free addresses in subnet 'subnet-1'."),
    "Unsupported": (
        400,
        "Your requested instance type (g5.2xlarge) is not supported in your requested Availability Zone (eu-west-1a).",
    ),
    "VcpuLimitExceeded": (
        400,
        "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket.",
    ),
    "InstanceLimitExceeded": (400, "You have requested more instances (21) than your current instance limit of 20."),
    "MaxSpotInstanceCountExceeded": (400, "Max spot instance count exceeded"),
    "SpotMaxPriceTooLow": (400, "Your Spot request price of 0.1 is lower than the minimum required price of 0.2."),
    "RequestLimitExceeded": (503, "Request limit exceeded."),
    "Unavailable": (503, "The server is overloaded and can't handle the request."),
    "UnsupportedOperation": (400, "The instance type does not support this operation."),
    "InternalError": (500, "An internal error has occurred"),
    "UnauthorizedOperation": (403, "You are not authorized to perform this operation."),
    "AuthFailure": (401, "AWS was not able to validate the provided access credentials"),
    "ExpiredToken": (400, "The security token included in the request is expired"),
    "InvalidClientTokenId": (403, "The security token included in the request is invalid."),
    "RequestExpired": (400, "Request has expired."),
    "SignatureDoesNotMatch": (403, "The request signature we calculated does not match the signature you provided."),
    "IdempotentParameterMismatch": (
        400,
        "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
    ),
    "IncorrectInstanceState": (400, "The instance is not in a state from which it can be terminated."),
    "OperationNotPermitted": (400, "The instance may not be terminated. Modify its 'disableApiTermination' attribute."),
    "InvalidAMIID.NotFound": (400, "The image id '[ami-0000000000000000]' does not exist"),
    "InvalidParameterValue": (400, "Invalid value for instanceType: t9.huge"),
    "InvalidParameterCombination": (400, "The parameters may not be combined."),
    "TagLimitExceeded": (400, "You have reached the maximum number of tags for this resource."),
    "InvalidIPAddress.InUse": (400, "Address 10.0.0.9 is in use."),
    "RouteAlreadyExists": (400, "The route already exists."),
    "InvalidPlacementGroup.Unknown": (400, "The Placement Group 'g' is unknown."),
    "InvalidPlacementGroup.Duplicate": (409, "The Placement Group 'g' already exists."),
    "InvalidPlacementGroup.InUse": (400, "The placement group 'g' is in use and may not be deleted."),
}


class Answer(Exception):
    """A reply that the front gives itself."""

    def __init__(self, status: int, body: str, content_type: str = "text/xml;charset=UTF-8") -> None:
        super().__init__(status)
        self.status, self.body, self.content_type = status, body.encode(), content_type


def success(action: str, inside: str) -> Answer:
    """Return a success."""
    return Answer(200, f"<{action}Response {_AWS.decode()}><requestId>r-1</requestId>{inside}</{action}Response>")


def refusal(code: str, *, words: str = "", detail: bool = False) -> Answer:
    """Return a refusal.

    :param detail: the error has a third part, at which libcloud's own reader fails.
    """
    status, usual = REFUSALS[code]
    more = "<Type>Sender</Type>" if detail else ""
    error = f"<Error><Code>{code}</Code><Message>{escape(words or usual)}</Message>{more}</Error>"
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return Answer(status, f"{head}<Response><Errors>{error}</Errors><RequestID>r-1</RequestID></Response>")


def mended(status: int, body: bytes) -> bytes:
    """Return what moto answered, with AWS's namespace in successes and none in errors."""
    return body.replace(_MOTOS, _AWS if status < 300 else b"", 1)
