"""AWS's managed job templates, shown as its API shows them. Jobs are made of them by CreateJob."""

from __future__ import annotations

from littoral.aws.service import Call, Output, operation
from littoral.things.control import pages
from littoral.things.control.base import Noun
from littoral.things.control.errors import not_found
from littoral.things.jobs.managed import COMMON, MANAGED, VERSION, ManagedTemplate


class ManagedTemplates(Noun):
    def _shown_managed(self, template: ManagedTemplate) -> Output:
        return {
            "templateArn": template.arn(self.names.region),
            "templateName": template.name,
            "description": template.does,
            "environments": ["LINUX"],
            "templateVersion": VERSION,
        }

    @operation()
    async def describe_managed_job_template(
        self, call: Call, *, template_name: str, template_version: str | None = None
    ) -> Output:
        found = MANAGED.get(template_name)
        if found is None or template_version not in (None, VERSION):
            raise not_found(f"Managed job template {template_name} cannot be found.")
        parameters = [
            *({"key": name, "description": text, "optional": False} for name, text in found.parameters.items()),
            *({"key": name, "description": text, "optional": True} for name, text in COMMON.items()),
        ]
        return {**self._shown_managed(found), "documentParameters": parameters, "document": found.document}

    @operation()
    async def list_managed_job_templates(
        self,
        call: Call,
        *,
        template_name: str | None = None,
        max_results: int | None = None,
        next_token: str | None = None,
    ) -> Output:
        wanted = [name for name in MANAGED if template_name in (None, name)]
        found, token = pages.names(wanted, next_token, pages.size(max_results))
        shown = [self._shown_managed(MANAGED[name]) for name in found]
        return pages.with_token({"managedJobTemplates": shown}, "nextToken", token)
