"""What EC2's refusals mean, as one table: by AWS's own codes, and by words only where one code means two things.

Codes are those of AWS's list ("Error codes for the Amazon EC2 API"). That list is never complete, so whole families are
caught by how they begin or end, after those that are exceptions to them.
"""

from __future__ import annotations

from clues.errors import (
    AuthFailed,
    InvalidRequest,
    NoCapacity,
    NotFound,
    OutcomeUnknown,
    QuotaExceeded,
    Throttled,
    Transient,
)
from connectors.common.failures import Failures, Rule

RULES = (
    Rule(
        Throttled, code="(Request|Client)LimitExceeded|.*Throttl.*|TooManyRequests.*|SlowDown|PriorRequestNotComplete"
    ),
    # --- no room for this flavor, there, now
    Rule(NoCapacity, code="Insufficient.*Capacity"),
    Rule(NoCapacity, code="UnfulfillableCapacity|SpotMaxPriceTooLow|ReservationCapacityExceeded"),
    # of a zone that lacks the type, and in AWS's words for "not now, as things are"
    Rule(NoCapacity, code="Unsupported", words="availability zone|currently not supported"),
    # --- our own allowance; a subnet without addresses is that, too: no other flavor does better in it
    Rule(QuotaExceeded, code="Max.*(Count|IOPS.*)Exceeded|.*LimitExceeded|InsufficientFreeAddressesInSubnet"),
    # --- who we are and what we may do
    Rule(
        AuthFailed, code="AuthFailure.*|UnauthorizedOperation|AccessDenied.*|Blocked|OptInRequired|PendingVerification"
    ),
    Rule(AuthFailed, code="InvalidClientTokenId|UnrecognizedClient.*|SignatureDoesNotMatch|IncompleteSignature"),
    Rule(AuthFailed, code="MissingAuthenticationToken|(Expired|Invalid)Token.*|RequestExpired"),
    # --- the thing itself; of other things than an instance a launch names what is not there
    Rule(NotFound, code=r"InvalidInstanceID(\.NotFound|\.Malformed)?|InvalidInstanceId.*"),
    # --- soon otherwise: an address that its last holder is giving back, a group that was tidied away a moment ago
    Rule(
        Transient,
        code=r"InvalidIPAddress\.InUse|InvalidPlacementGroup\.Unknown|Incorrect(Instance)?State|Resource.*Busy",
    ),
    # --- an earlier launch with this key asked for something else, and may have made its VM
    Rule(OutcomeUnknown, code="IdempotentParameterMismatch"),
    # --- wrong in itself
    Rule(InvalidRequest, code="Invalid.*|Missing.*|Malformed.*|Unknown.*|Unsupported.*|.*NotSupported.*|.*NotFound.*"),
    Rule(
        InvalidRequest,
        code="OperationNotPermitted|DependencyViolation|(VPC|DefaultVpc).*|.*NotSpecified|.*Mismatch|Encrypted.*|NonEBSInstance",
    ),
    # --- by status alone: somebody on the way, or a code that nobody knows yet
    Rule(AuthFailed, status=403),
)


FAILURES = Failures(RULES)
