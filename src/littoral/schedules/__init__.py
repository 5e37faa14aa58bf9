"""EventBridge: rules by schedule or event pattern on the default bus, and Scheduler's schedules.

Pure: ``inputs`` (what a target gets). Durable: ``rules``, ``jobs`` (what there is), ``outbox`` (what is under way).
``timekeeper`` knows only what is due when. The site hands in the targets: functions and streams.
"""

from littoral.schedules.facade import Schedules
from littoral.schedules.outbox import Targets

__all__ = ["Schedules", "Targets"]
