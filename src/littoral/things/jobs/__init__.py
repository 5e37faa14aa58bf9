"""Jobs: what operators want things to do, one execution a thing."""

from littoral.things.jobs.data import IotJobsData
from littoral.things.jobs.devices import JobRequests
from littoral.things.jobs.facts import Job, Template
from littoral.things.jobs.progress import Progress
from littoral.things.jobs.service import JobObjects, Jobs

__all__ = ["IotJobsData", "Job", "JobObjects", "JobRequests", "Jobs", "Progress", "Template"]
