"""How many events may run at once: the account's concurrency, what functions have reserved of it, who goes first.

* A synchronous caller never waits for a slot: TooManyRequestsException.
* The account's concurrency less all reservations is shared by functions without one. A function that was refused while
  it had less than an equal share goes first: those that have their share are refused until it got a slot.
"""

from __future__ import annotations

import time

from littoral.aws.service import ServiceError

STARVING = 5.0  # seconds that a refused function is waited for


def throttled(reason: str) -> ServiceError:
    return ServiceError(
        "TooManyRequestsException",
        "Rate Exceeded.",
        status=429,
        fields={"Type": "User", "Reason": reason, "retryAfterSeconds": "1"},
    )


class Share:
    """One function's part of the concurrency."""

    __slots__ = ("name", "reserved", "running")

    def __init__(self, name: str) -> None:
        self.name = name
        self.reserved: int | None = None
        self.running = 0  # events under way


class Slots:
    def __init__(self, total: int) -> None:
        self.total = total
        self.unreserved = total  # what no reservation has taken
        self._shared = 0  # events under way of functions without a reservation
        self._shares: dict[str, Share] = {}
        self._starving: dict[str, float] = {}  # function → when it was refused with less than its share

    @property
    def floor(self) -> int:
        """What is left to functions without a reservation, whatever is reserved: 100 of AWS's 1,000."""
        return min(100, self.total // 10)

    def of(self, function: str) -> Share:
        share = self._shares.get(function)
        if share is None:
            share = self._shares[function] = Share(function)
        return share

    def reserve(self, function: str, count: int | None) -> None:
        """What is under way is not touched; it counts where it was counted when it began."""
        self.of(function).reserved = count
        self.unreserved = self.total - sum(each.reserved or 0 for each in self._shares.values())

    def take(self, share: Share) -> bool:
        """One slot; whether it is of the function's own reservation. Raises TooManyRequestsException."""
        reserved = share.reserved
        if reserved is not None:
            if share.running >= reserved:
                raise throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
            share.running += 1
            return True
        if self._shared >= self.unreserved or (self._starving and self._must_yield(share)):
            if share.running < self._even(share):
                self._starving[share.name] = time.monotonic()
            raise throttled("ConcurrentInvocationLimitExceeded")
        self._shared += 1
        share.running += 1
        return False

    def give_back(self, share: Share, reserved: bool) -> None:
        share.running -= 1
        if not reserved:
            self._shared -= 1

    def running(self) -> dict[str, int]:
        """Events under way, by function; those with none are not there."""
        return {share.name: share.running for share in self._shares.values() if share.running}

    def _even(self, share: Share) -> int:
        """Slots for each when they are dealt out evenly among those who want some."""
        return self.unreserved // len({*self.running(), *self._starving, share.name})

    def _must_yield(self, share: Share) -> bool:
        """Whether another function has been refused and this one has its share already."""
        since = time.monotonic() - STARVING
        self._starving = {each: when for each, when in self._starving.items() if when > since}
        if share.name in self._starving:
            del self._starving[share.name]
            return False
        return bool(self._starving) and share.running >= self._even(share)
