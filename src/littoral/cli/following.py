"""A training job, followed from outside: its steps, what it prints, and the metrics in that."""

from __future__ import annotations

import sys
from typing import Any, Final

from littoral.cli.asking import Failed, call
from littoral.site.settings import Loaded
from littoral.training.metrics import Metrics

GROUP: Final = "/aws/sagemaker/TrainingJobs"


class Follower:
    """``curves``: the values of each metric so far, in their order."""

    def __init__(self, loaded: Loaded, name: str, definitions: list[dict[str, str]]) -> None:
        self.curves: dict[str, list[float]] = {}
        self._loaded = loaded
        self._name = name
        self._metrics = Metrics(definitions)
        self._steps = 0  # that were told
        self._since = 0  # ms; nothing before is new
        self._seen: set[str] = set()  # ids of events of that moment

    def look(self) -> dict[str, Any]:
        """Tell what is new; the job as it was before the log was read. Raises Failed."""
        job: dict[str, Any] = call(
            self._loaded, "sagemaker", "SageMaker.DescribeTrainingJob", TrainingJobName=self._name
        )
        steps = job["SecondaryStatusTransitions"]
        for step in steps[self._steps :]:
            print(f"{step['Status']}: {step['StatusMessage']}", file=sys.stderr, flush=True)
        self._steps = len(steps)
        if job.get("TrainingStartTime"):
            self._read()
        return job

    def _read(self) -> None:
        more: dict[str, str] = {}
        while True:
            try:
                page = call(
                    self._loaded,
                    "logs",
                    "Logs_20140328.FilterLogEvents",
                    logGroupName=GROUP,
                    logStreamNamePrefix=f"{self._name}/",
                    startTime=self._since,
                    **more,
                )
            except Failed as problem:
                if "ResourceNotFoundException" in str(problem):  # nobody has printed anything yet
                    return
                raise
            for event in page["events"]:
                self._tell(event)
            if "nextToken" not in page:
                return
            more = {"nextToken": page["nextToken"]}

    def _tell(self, event: dict[str, Any]) -> None:
        if event["timestamp"] > self._since:
            self._since, self._seen = event["timestamp"], set()
        elif event["eventId"] in self._seen:
            return
        self._seen.add(event["eventId"])
        print(event["message"], flush=True)
        for name, value in self._metrics.found(event["message"]).items():
            self.curves.setdefault(name, []).append(value)
