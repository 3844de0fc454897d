"""What can go wrong outside, as types.

Every failure of a provider or of Slurm leaves its adapter as exactly one of these, so that the core can decide by
type and never by looking for words in a message.  The provider's own words are kept: people need them.
"""

from __future__ import annotations

from datetime import timedelta


class CluesError(Exception):
    """Base of all errors that the core knows how to handle; its text is fit to be shown to a sysadmin."""


class ConfigError(CluesError):
    """The configuration cannot be used; the text lists every mistake with file, line and cure."""


class LrmsError(CluesError):
    """Slurm could not be read or did not do what it was asked."""


class LedgerError(CluesError):
    """The ledger could not be read or written (disk full, damaged, of a newer version)."""


class KeyReused(CluesError):
    """An idempotency key came again: with another order, or with one of which nobody knows what came of it."""


class CloudError(CluesError):
    """A provider's failure, told apart by its subclass.

    :param message: one sentence for a sysadmin.
    :param words: the provider's own words, unchanged, for ``clues explain``.
    """

    #: True where the call is known to have had no effect.
    no_effect = True

    def __init__(self, message: str, *, words: str = "") -> None:
        super().__init__(message)
        self.words = words or message


class NoCapacity(CloudError):
    """The provider has no room for this flavor now; another offer may have."""


class QuotaExceeded(CloudError):
    """Our own quota at the provider is used up; other flavors of this site will hardly do better."""


class Throttled(CloudError):
    """Too many requests; try again after :attr:`retry_after`."""

    def __init__(self, message: str, *, words: str = "", retry_after: timedelta | None = None) -> None:
        super().__init__(message, words=words)
        self.retry_after = retry_after


class AuthFailed(CloudError):
    """The credentials were refused, or do not allow this call; a human has to act."""


class InvalidRequest(CloudError):
    """The provider calls the request itself wrong (unknown flavor, image, network); repeating it is useless."""


class NotFound(CloudError):
    """The thing is not there (any more)."""


class Transient(CloudError):
    """A passing fault before anything happened: connection refused, 5xx on a read."""


class OutcomeUnknown(CloudError):
    """The call may have had its effect: time-out or lost reply after sending. Look before repeating."""

    no_effect = False


#: The names under which errors are stored in the ledger and shown; one for each type that decides something.
CLOUD_ERRORS: dict[str, type[CloudError]] = {
    "no-capacity": NoCapacity,
    "quota": QuotaExceeded,
    "throttled": Throttled,
    "auth": AuthFailed,
    "invalid": InvalidRequest,
    "not-found": NotFound,
    "transient": Transient,
    "unknown-outcome": OutcomeUnknown,
}


def error_code(error: CloudError) -> str:
    """Return the short stored name of a cloud error ("no-capacity", "quota", ...)."""
    for code, kind in CLOUD_ERRORS.items():
        if type(error) is kind:
            return code
    return "transient" if error.no_effect else "unknown-outcome"
