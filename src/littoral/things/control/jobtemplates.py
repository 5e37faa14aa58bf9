"""Job templates: a document and settings to make jobs of. AWS's own are in ``managedtemplates``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.things.control import jobsettings, pages
from littoral.things.control.errors import invalid, not_found
from littoral.things.control.jobs import JobNoun
from littoral.things.control.tagging import TagList
from littoral.things.jobs import Template
from littoral.things.jobs.devices import JOB_ID
from littoral.things.jobs.facts import Settings, windows_of

Json = dict[str, Any]


class JobTemplates(JobNoun):
    @operation()
    async def create_job_template(
        self,
        call: Call,
        *,
        job_template_id: str,
        description: str,
        job_arn: str | None = None,
        document_source: str | None = None,
        document: str | None = None,
        presigned_url_config: Json | None = None,
        job_executions_rollout_config: Json | None = None,
        abort_config: Json | None = None,
        timeout_config: Json | None = None,
        job_executions_retry_config: Json | None = None,
        maintenance_windows: Sequence[Json] = (),
        tags: TagList = (),
    ) -> Output:
        """Of a document, or of a job with its document and settings."""
        if not JOB_ID.fullmatch(job_template_id):
            raise invalid(f"Invalid job template id: {job_template_id!r}")
        base, source, text = Settings(), document_source, ""
        if job_arn is not None:
            if document is not None or document_source is not None:
                raise invalid("A job template is made of a job or of a document, not of both")
            job = self.job(self.names.name_in("job", job_arn) or job_arn)
            base, source, text = job.settings, job.source, job.document
        else:
            text = await jobsettings.document(document, document_source, self.jobs.objects)
        settings = jobsettings.settings(
            base,
            presigned=presigned_url_config,
            rollout=job_executions_rollout_config,
            abort=abort_config,
            timeout=timeout_config,
            retry=job_executions_retry_config,
        )
        jobsettings.check_windows(windows_of(maintenance_windows))
        arn = self.names.arn("jobtemplate", job_template_id)
        async with self.progress.changing:
            if job_template_id in self.jobs.templates:
                message = f"Job template {job_template_id} already exists."
                raise ServiceError("ConflictException", message, status=409, fields={"resourceId": job_template_id})
            await self.tag_new(arn, call.now, tags)
            template = Template(
                job_template_id, description, text, call.now, settings, source, list(maintenance_windows)
            )
            await self.jobs.templates.put(job_template_id, template)
        return {"jobTemplateArn": arn, "jobTemplateId": job_template_id}

    def _template(self, job_template_id: str) -> Template:
        found = self.jobs.templates.get(job_template_id)
        if found is None:
            raise not_found(f"Job template {job_template_id} cannot be found.")
        return found

    @operation()
    async def describe_job_template(self, call: Call, *, job_template_id: str) -> Output:
        found = self._template(job_template_id)
        shown = {**self._listed_template(found), **jobsettings.described(found.settings), "document": found.document}
        if found.windows:
            shown["maintenanceWindows"] = found.windows
        return {**shown, "documentSource": found.source} if found.source else shown

    def _listed_template(self, found: Template) -> Output:
        return {
            "jobTemplateArn": self.names.arn("jobtemplate", found.id),
            "jobTemplateId": found.id,
            "description": found.description,
            "createdAt": found.created,
        }

    @operation()
    async def list_job_templates(
        self, call: Call, *, max_results: int | None = None, next_token: str | None = None
    ) -> Output:
        rows = self.jobs.templates.items(pages.after(next_token))
        found, token = pages.page(rows, pages.size(max_results))
        return pages.with_token({"jobTemplates": [self._listed_template(one) for one in found]}, "nextToken", token)

    @operation()
    async def delete_job_template(self, call: Call, *, job_template_id: str) -> Output:
        self._template(job_template_id)
        await self.jobs.templates.delete(job_template_id)
        return {}
