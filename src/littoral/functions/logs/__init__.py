"""Log groups: what functions print, the platform's START, END and REPORT lines, and what other programs put there.

``store.Logs`` keeps them, ``api.LogsApi`` speaks CloudWatch Logs over it, ``invocation`` is a function's side.
"""

from littoral.functions.logs.group import Event
from littoral.functions.logs.invocation import TAIL, InvocationLog
from littoral.functions.logs.store import Logs

__all__ = ["TAIL", "Event", "InvocationLog", "Logs"]
