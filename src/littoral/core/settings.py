"""What a core is told of itself when it opens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from littoral.core.exchange import ALIAS
from littoral.core.link import Backoff, Upstream
from littoral.core.nucleus.limits import Confine, unconfined
from littoral.core.nucleus.rooms import Bare
from littoral.core.ports import Fence
from littoral.core.session import Timing
from littoral.core.spool import SpoolLimits

log = logging.getLogger(__name__)


def _stays() -> None:
    log.error("this core cannot restart by itself: start it anew, and its deployment goes on")


@dataclass(frozen=True, slots=True)
class CoreSettings:
    thing: str  # the core's own name: its thing, and its MQTT client id
    upstream: Upstream
    folder: Path  # of components: their work, their logs
    socket: Path  # of the IPC
    shown: Path | None = None  # folder of the sockets for components that are functions; None: these have none
    region: str = "us-east-1"
    role_alias: str = ALIAS  # by which it asks for credentials
    fence: Fence = Bare  # around programs
    confine: Confine = unconfined  # their limits
    restart: Callable[[], None] = _stays  # ends this core, to be started again
    spool: SpoolLimits = field(default_factory=SpoolLimits)
    window: int = 1000  # publishes unacknowledged at most
    timing: Timing = field(default_factory=Timing)
    backoff: Backoff = field(default_factory=Backoff)
    log_form: logging.Formatter = field(default_factory=logging.Formatter)  # of its own log, where that is uploaded
