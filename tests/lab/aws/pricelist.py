"""AWS's price list service, which moto (5.2.5) does not have: in the form that AWS documents for GetProducts.

It is as strict as that: JSON 1.1, in one of the regions where the service is, and each filter narrows what is told.
What a client that leaves one out would be told besides is here too: Windows, dedicated hardware, reserved capacity.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.lab.aws.answers import Answer

_TYPE = "application/x-amz-json-1.1"
_HOMES = ("us-east-1", "eu-central-1", "ap-south-1")
_PLAIN = {
    "servicecode": "AmazonEC2",
    "instanceType": "c5.xlarge",
    "regionCode": "eu-west-1",
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "operation": "RunInstances",
}
#: attributes that differ from the plain ones, and dollars for an hour
_PRODUCTS: tuple[tuple[Mapping[str, str], str], ...] = (
    ({}, "0.1920000000"),
    ({"operatingSystem": "Windows"}, "0.3760000000"),
    ({"tenancy": "Dedicated"}, "2.2040000000"),
    ({"preInstalledSw": "SQL Std"}, "0.6720000000"),
    ({"capacitystatus": "UnusedCapacityReservation"}, "0.1930000000"),
    ({"operation": "RunInstances:CB"}, "9.0000000000"),
    ({"regionCode": "us-east-1"}, "0.1700000000"),
    ({"instanceType": "c5.2xlarge"}, "0.3840000000"),
)


def serve(headers: Mapping[str, str], body: bytes, region: str, refuse: str) -> Answer:
    """Return the answer to a call.

    :param region: the one that it is signed for; :param refuse: name of the exception that it is refused with.
    """
    if refuse:
        return _say(
            400, {"__type": f"com.amazonaws.pricing#{refuse}", "Message": "not authorized: pricing:GetProducts"}
        )
    wrong = headers.get("content-type") != _TYPE or headers.get("x-amz-target") != "AWSPriceListService.GetProducts"
    if wrong or region not in _HOMES:
        return _say(400, {"__type": "UnknownOperationException"})
    asked = json.loads(body)
    filters = asked["Filters"]
    if asked["ServiceCode"] != "AmazonEC2" or any(one["Type"] != "TERM_MATCH" for one in filters):
        return _say(400, {"__type": "InvalidParameterException", "message": "no such service, or filter"})
    wanted = {one["Field"]: one["Value"] for one in filters}
    if unknown := set(wanted) - set(_PLAIN):
        return _say(400, {"__type": "InvalidParameterException", "message": f"no such field: {unknown}"})
    found = [
        _product({**_PLAIN, **more}, price) for more, price in _PRODUCTS if wanted.items() <= {**_PLAIN, **more}.items()
    ]
    at = int(asked.get("NextToken", 0))
    more = {"NextToken": str(at + 1)} if at + 1 < len(found) else {}
    return _say(200, {"FormatVersion": "aws_v1", "PriceList": found[at : at + 1], **more})


def _product(attributes: Mapping[str, str], price: str) -> str:
    """A product is a text in the answer, JSON in JSON."""
    dimension = {"unit": "Hrs", "beginRange": "0", "endRange": "Inf", "pricePerUnit": {"USD": price}}
    term = {"effectiveDate": "2026-11-01T00:00:00Z", "priceDimensions": {"SKU.T.R": dimension}, "sku": "SKU"}
    reserved = {**term, "priceDimensions": {"SKU.T.R": {**dimension, "unit": "Quantity"}}}
    terms = {"OnDemand": {"SKU.T": term}, "Reserved": {"SKU.T": reserved}}
    return json.dumps({"product": {"attributes": attributes, "sku": "SKU"}, "serviceCode": "AmazonEC2", "terms": terms})


def _say(status: int, told: Mapping[str, object]) -> Answer:
    return Answer(status, json.dumps(told), _TYPE)
