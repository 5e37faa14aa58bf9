"""Functions: AWS Lambda for real. Managed Python and Node.js runtimes in processes forked from warm keepers.

``facade.Functions`` is the capability; ``api`` the Lambda API; ``runtime/`` and ``node/`` run in the instances.
"""

from littoral.functions.api import LambdaApi
from littoral.functions.api.parts import CodeSource
from littoral.functions.facade import Functions
from littoral.functions.settings import FunctionSettings
from littoral.functions.sinks import Sink
from littoral.functions.sources import EventSource, SourceRecord
from littoral.functions.version import Placement

__all__ = [
    "CodeSource",
    "EventSource",
    "FunctionSettings",
    "Functions",
    "LambdaApi",
    "Placement",
    "Sink",
    "SourceRecord",
]
