"""The APIs of Amazon EventBridge (rules of the default bus) and of EventBridge Scheduler."""

from littoral.schedules.api.events import EventsApi
from littoral.schedules.api.scheduler import SchedulerApi

__all__ = ["EventsApi", "SchedulerApi"]
