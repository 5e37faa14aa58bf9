"""AWS IoT's own log: what happens at the broker, to shadows and in rules, as JSON entries of ``AWSIotLogsV2``."""

from littoral.things.iotlogs.levels import Levels, Options
from littoral.things.iotlogs.observers import Observers
from littoral.things.iotlogs.writer import GROUP, IotLogs

__all__ = ["GROUP", "IotLogs", "Levels", "Observers", "Options"]
