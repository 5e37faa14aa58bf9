"""Bulk registration: tasks that carry out a template for each line of an object; ``provisioning/bulk`` runs them."""

from __future__ import annotations

import uuid
from dataclasses import replace

from littoral.aws.service import Call, Output, operation
from littoral.things.control import pages
from littoral.things.control.errors import invalid, not_found
from littoral.things.control.provisioning import ProvisioningTemplates, check_body
from littoral.things.provisioning.bulk import CANCELLING, COMPLETED, IN_PROGRESS, BulkRegistration, Task


class RegistrationTasks(ProvisioningTemplates):
    """``bulk`` is set when the API is composed."""

    bulk: BulkRegistration

    @operation(notes="the role is not assumed; reports are written beside the input, and tasks take turns")
    async def start_thing_registration_task(
        self, call: Call, *, template_body: str, input_file_bucket: str, input_file_key: str, role_arn: str
    ) -> Output:
        check_body(template_body)
        task = Task(str(uuid.uuid4()), template_body, input_file_bucket, input_file_key, role_arn, call.now, call.now)
        async with self.bulk.changing:
            await self.bulk.put(task)
        return {"taskId": task.id}

    def _task(self, task_id: str) -> Task:
        found = self.bulk.tasks.get(task_id)
        if found is None:
            raise not_found(f"Thing registration task {task_id} cannot be found.")
        return found

    @operation()
    async def describe_thing_registration_task(self, call: Call, *, task_id: str) -> Output:
        task = self._task(task_id)
        taken = task.succeeded + task.failed
        return {
            "taskId": task.id,
            "creationDate": task.created,
            "lastModifiedDate": task.modified,
            "templateBody": task.body,
            "inputFileBucket": task.bucket,
            "inputFileKey": task.key,
            "roleArn": task.role,
            "status": task.status,
            "message": task.message,
            "successCount": task.succeeded,
            "failureCount": task.failed,
            "percentageProgress": 100 if task.status == COMPLETED else taken * 100 // max(task.lines, 1),
        }

    @operation()
    async def list_thing_registration_tasks(
        self, call: Call, *, next_token: str | None = None, max_results: int | None = None, status: str | None = None
    ) -> Output:
        """The newest first."""
        rows = ((one.created, one.id, one.id) for one in self.bulk.tasks.values() if status in (None, one.status))
        found, token = pages.by_age(rows, next_token, False, pages.size(max_results))
        return pages.with_token({"taskIds": found}, "nextToken", token)

    @operation()
    async def stop_thing_registration_task(self, call: Call, *, task_id: str) -> Output:
        """After the line that is being taken."""
        async with self.bulk.changing:
            task = self._task(task_id)
            if task.status != IN_PROGRESS:
                raise invalid(f"Thing registration task {task_id} is {task.status}")
            await self.bulk.put(replace(task, status=CANCELLING, modified=call.now))
        return {}

    @operation(harmless={"nextToken", "maxResults"})
    async def list_thing_registration_task_reports(self, call: Call, *, task_id: str, report_type: str) -> Output:
        """One link at most, when the task is over."""
        found = self.bulk.tasks.get(task_id)
        if found is None:  # the model of this operation has no ResourceNotFoundException
            raise invalid(f"Thing registration task {task_id} cannot be found.")
        return {"resourceLinks": self.bulk.links(found, report_type), "reportType": report_type}
