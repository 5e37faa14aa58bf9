"""Events about jobs, for rules and whoever subscribes: ``$aws/events/job/…`` and ``$aws/events/jobExecution/…``.

=============================================  ====================================================
``$aws/events/job/J/{completed,canceled,…}``   a job as a whole ended, or is being deleted, or is gone
``$aws/events/jobExecution/J/{succeeded,…}``   one thing's execution came to a terminal state
=============================================  ====================================================

Source: https://docs.aws.amazon.com/iot/latest/developerguide/events-jobs.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from littoral.protocols.jobs.execution import PENDING, Execution
from littoral.things.events import EXECUTION, JOB, Events
from littoral.things.jobs.facts import CANCELED, COMPLETED, DELETING, Job
from littoral.things.names import Names

_ENDINGS: Final = {COMPLETED: "completed", CANCELED: "canceled", DELETING: "deletion_in_progress"}


class JobEvents:
    def __init__(self, names: Names, events: Events) -> None:
        self._names = names
        self._events = events

    async def job(self, job: Job, counts: Mapping[str, int], now: float, *, deleted: bool = False) -> None:
        """After the job came to a new state, or is no more."""
        ending = "deleted" if deleted else _ENDINGS.get(job.status)
        if ending is None or not self._events.on(JOB):
            return
        event: dict[str, Any] = {
            "eventType": "JOB",
            "eventId": f"{job.id}-{ending}",
            "timestamp": int(now),
            "operation": ending,
            "jobId": job.id,
            "status": job.status,
            "targetSelection": job.selection,
            "targets": list(job.targets),
            "description": job.description,
            "createdAt": int(job.created),
            "lastUpdatedAt": int(job.updated),
            "jobProcessDetails": {
                f"numberOf{''.join(part.title() for part in status.split('_'))}Things": count
                for status, count in counts.items()
            },
        }
        if job.completed is not None:
            event["completedAt"] = int(job.completed)
        await self._events.tell(f"job/{job.id}/{ending}", event)

    async def execution(self, execution: Execution, now: float, *, deleted: bool = False) -> None:
        """After it came to a terminal state, or is no more."""
        if (execution.status in PENDING and not deleted) or not self._events.on(EXECUTION):
            return
        ending = "deleted" if deleted else execution.status.lower()
        event = {
            "eventType": "JOB_EXECUTION",
            "eventId": f"{execution.job}-{execution.thing}-{execution.number}",
            "timestamp": int(now),
            "operation": ending,
            "jobId": execution.job,
            "thingArn": self._names.arn("thing", execution.thing),
            "status": execution.status,
            "statusDetails": dict(execution.details),
            "executionNumber": execution.number,
        }
        await self._events.tell(f"jobExecution/{execution.job}/{ending}", event)
