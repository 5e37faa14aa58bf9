"""What one request may cost the firewall: counted in bytes that are gone over, so that it ends alike on any machine.

Every look takes time linear in its value, but a value is gone over once for each chain of transformations, and a body
can hold ten thousand values, each with a name as long as the body is deep. ``View.spend`` is asked before such a step.
What decides once all is spent is the caller's: oversize handling, or the rule of a managed group that stands for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from littoral.edge.waf.verdict import Verdict

MOST = 12_000_000  # units a request; text of 64 KiB takes up to 5 million at paranoia level 1, some 8 at level 4
A_LOOK = 256  # units that a look costs beside the bytes of its value
A_TURN = 100_000  # units, after which others are served first
LONG = 4096  # bytes of a head or a body, from which on a request is a long one
BEGINNING = 8192  # bytes of a body that are looked at though all is spent, where oversize handling says CONTINUE
Spend = Callable[[int], None]
Aside = Callable[[Callable[[], "Verdict | None"]], Awaitable["Verdict | None"]]  # does that beside the event loop


class Exhausted(Exception):
    """The request has cost as much as one may."""
