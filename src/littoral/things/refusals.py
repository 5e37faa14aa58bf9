"""Who was refused what, and why: counted for ``/metrics``, and written to the log within a bound.

A device that tries in vain a thousand times a second must not fill the disk: beyond ``MOST`` lines a second the log
says how many there were, and the counts go on.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Final

from littoral.things.permissions import Caller, Permissions

log = logging.getLogger(__name__)

MOST: Final = 20  # lines a second


class Refusals:
    """``counts`` by action and reason: NO_CERTIFICATE, NOT_REGISTERED, a certificate's status, EXPLICIT_DENY,
    IMPLICIT_DENY; of authorizers those of ``NotAdmitted``."""

    def __init__(self, permissions: Permissions, clock: Callable[[], float]) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.on_refused: Callable[[Caller, str, str, str], None] = lambda caller, action, name, why: None
        self._permissions = permissions
        self._clock = clock
        self._second = 0
        self._lines = 0

    def note(self, caller: Caller, action: str, kind: str, name: str, why: str = "", detail: str = "") -> None:
        """After it was refused; the reason is found out here where none is given, so that what is allowed pays nothing
        for it. ``detail`` is for the log alone."""
        why = why or self._permissions.why_not(caller, action, kind, name)
        self.counts[action, why] += 1
        self.on_refused(caller, action, name, why)
        if self._room():
            said = f"{why} ({detail[:1000]})" if detail else why
            log.warning("refused: %s on %s %r for %s: %s", action, kind or "nothing", name[:256], _who(caller), said)

    def _room(self) -> bool:
        second = int(self._clock())
        if second != self._second:
            if self._lines > MOST:
                log.warning("refused: %d more in that second", self._lines - MOST)
            self._second, self._lines = second, 0
        self._lines += 1
        return self._lines <= MOST


def _who(caller: Caller) -> str:
    admission = caller.admission
    if admission is None:
        by = f"certificate {caller.certificate or 'none'}"
    else:
        by = f"principal {admission.principal} of authorizer {admission.authorizer}"
    return f"{by}, client {caller.client_id or 'none'}, {caller.source_ip}"
