"""Events about jobs, for rules and whoever subscribes: ``$aws/events/job/…`` and ``$aws/events/jobExecution/…``.

=============================================  ====================================================
``$aws/events/job/J/{completed,canceled,…}``   a job as a whole ended, or is being deleted
``$aws/events/jobExecution/J/{succeeded,…}``   one thing's execution came to a terminal state
=============================================  ====================================================

Each kind is off until UpdateEventConfigurations turns it on, as in AWS. An event is a message of QoS 1 after the fact;
one that is lost with the process is not told later. Source:
https://docs.aws.amazon.com/iot/latest/developerguide/events-jobs.html
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from littoral.protocols.jobs.execution import PENDING, Execution
from littoral.things.jobs.facts import CANCELED, COMPLETED, DELETING, Job
from littoral.things.names import Names

SETTING: Final = "events"  # of the registry: where what is on is kept
JOB: Final = "JOB"
EXECUTION: Final = "JOB_EXECUTION"
_ENDINGS: Final = {COMPLETED: "completed", CANCELED: "canceled", DELETING: "deletion_in_progress"}


class JobEvents:
    """``enabled`` says which kinds are on."""

    def __init__(self, names: Names, publish: Callable[[str, bytes], Awaitable[None]]) -> None:
        self.enabled: Mapping[str, bool] = {}
        self._names = names
        self._publish = publish

    async def job(self, job: Job, counts: Mapping[str, int], now: float) -> None:
        """After the job came to a new state."""
        ending = _ENDINGS.get(job.status)
        if ending is None or not self.enabled.get(JOB):
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
        await self._publish(f"$aws/events/job/{job.id}/{ending}", json.dumps(event).encode())

    async def execution(self, execution: Execution, now: float) -> None:
        """After it came to a terminal state."""
        if execution.status in PENDING or not self.enabled.get(EXECUTION):
            return
        ending = execution.status.lower()
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
        await self._publish(f"$aws/events/jobExecution/{execution.job}/{ending}", json.dumps(event).encode())
