"""Provisioning templates and their versions, and RegisterThing; many at once are in ``registrationtasks``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from cryptography.hazmat.primitives import serialization

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.net.pki import certificate_id
from littoral.protocols.provisioning import Plan, Template, TemplateError
from littoral.things.control import pages
from littoral.things.control.certificates import Certificates, key_pair
from littoral.things.control.errors import delete_conflict, exists, invalid, not_found
from littoral.things.control.tagging import TagList
from littoral.things.provisioning import NotProvisioned, Provisioning, ProvisioningTemplate
from littoral.things.provisioning.carrying import carry_out
from littoral.things.registry import Certificate, Claim
from littoral.things.registry.claims import LIFE
from littoral.things.versions import Version

PAYLOAD_VERSION: Final = "2020-04-01"  # of the event that a pre-provisioning hook gets; there is no other


def check_body(body: str) -> None:
    """Raises InvalidRequestException for what is no template, or holds what would not be honoured."""
    try:
        Template.parse(body)
    except TemplateError as problem:
        raise invalid(f"Invalid provisioning template: {problem}") from None


def check_hook(kind: str, hook: Mapping[str, Any] | None) -> None:
    """Raises InvalidRequestException."""
    if not hook:
        return
    if kind == "JITP":
        raise invalid("A JITP template has no pre-provisioning hook")
    if hook.get("payloadVersion", PAYLOAD_VERSION) != PAYLOAD_VERSION:
        raise invalid(f"The payloadVersion of a pre-provisioning hook is {PAYLOAD_VERSION}")


class ProvisioningTemplates(Certificates):
    """``provisioning`` is set when the API is composed."""

    provisioning: Provisioning

    def _provisioning_template(self, name: str) -> ProvisioningTemplate:
        found = self.provisioning.templates.get(name)
        if found is None:
            raise not_found(f"Provisioning template {name} cannot be found.")
        return found

    @operation()
    async def create_provisioning_template(
        self,
        call: Call,
        *,
        template_name: str,
        template_body: str,
        provisioning_role_arn: str,
        description: str = "",
        enabled: bool = False,
        pre_provisioning_hook: dict[str, Any] | None = None,
        type: str = "FLEET_PROVISIONING",
        tags: TagList = (),
    ) -> Output:
        """The role is taken and not assumed: what a template makes is in the template."""
        check_body(template_body)
        check_hook(type, pre_provisioning_hook)
        arn = self.names.arn("provisioningtemplate", template_name)
        made = ProvisioningTemplate(
            template_name,
            (Version(1, template_body, call.now),),
            1,
            call.now,
            call.now,
            provisioning_role_arn,
            description,
            enabled,
            type,
            pre_provisioning_hook or {},
        )
        async with self.provisioning.changing:
            if template_name in self.provisioning.templates:
                raise exists(f"Provisioning template {template_name} already exists.", arn, template_name)
            await self.tag_new(arn, call.now, tags)
            await self.provisioning.templates.put(template_name, made)
        return {"templateArn": arn, "templateName": template_name, "defaultVersionId": 1}

    @operation()
    async def describe_provisioning_template(self, call: Call, *, template_name: str) -> Output:
        found = self._provisioning_template(template_name)
        shown = {
            **self._template_summary(found),
            "defaultVersionId": found.default_id,
            "templateBody": found.default.text,
            "provisioningRoleArn": found.role,
        }
        return {**shown, "preProvisioningHook": found.hook} if found.hook else shown

    def _template_summary(self, found: ProvisioningTemplate) -> Output:
        return {
            "templateArn": self.names.arn("provisioningtemplate", found.name),
            "templateName": found.name,
            "description": found.description,
            "creationDate": found.created,
            "lastModifiedDate": found.modified,
            "enabled": found.enabled,
            "type": found.kind,
        }

    @operation()
    async def list_provisioning_templates(
        self, call: Call, *, max_results: int | None = None, next_token: str | None = None
    ) -> Output:
        rows = self.provisioning.templates.items(pages.after(next_token))
        found, token = pages.page(rows, pages.size(max_results))
        return pages.with_token({"templates": [self._template_summary(one) for one in found]}, "nextToken", token)

    @operation()
    async def update_provisioning_template(
        self,
        call: Call,
        *,
        template_name: str,
        description: str | None = None,
        enabled: bool | None = None,
        default_version_id: int | None = None,
        provisioning_role_arn: str | None = None,
        pre_provisioning_hook: dict[str, Any] | None = None,
        remove_pre_provisioning_hook: bool = False,
    ) -> Output:
        async with self.provisioning.changing:
            found = self._provisioning_template(template_name)
            check_hook(found.kind, pre_provisioning_hook)
            if default_version_id is not None:
                self.version(found, default_version_id)
            changed = replace(
                found,
                description=found.description if description is None else description,
                enabled=found.enabled if enabled is None else enabled,
                default_id=default_version_id or found.default_id,
                role=provisioning_role_arn or found.role,
                hook={} if remove_pre_provisioning_hook else pre_provisioning_hook or found.hook,
                modified=call.now,
            )
            await self.provisioning.templates.put(template_name, changed)
        return {}

    @operation()
    async def delete_provisioning_template(self, call: Call, *, template_name: str) -> Output:
        async with self.provisioning.changing:
            if len(self._provisioning_template(template_name).versions) > 1:
                raise delete_conflict(f"Provisioning template {template_name} has versions that are not the default")
            await self.provisioning.templates.delete(template_name)
        return {}

    @operation()
    async def create_provisioning_claim(self, call: Call, *, template_name: str) -> Output:
        """A certificate with which a device may provision itself by this template, for five minutes."""
        if self._provisioning_template(template_name).kind != "FLEET_PROVISIONING":
            raise invalid(f"Provisioning template {template_name} is not for claims")
        made, key = await asyncio.to_thread(self._make_pair)
        claim = Claim(certificate_id(made), template_name, call.now + LIFE)
        await self.registry.claims.put(claim.certificate, claim)
        return {
            "certificateId": claim.certificate,
            "certificatePem": made.public_bytes(serialization.Encoding.PEM).decode(),
            "keyPair": key_pair(key),
            "expiration": claim.expires,
        }

    # -------------------------------------------------------------------------------------------- versions

    @operation()
    async def create_provisioning_template_version(
        self, call: Call, *, template_name: str, template_body: str, set_as_default: bool = False
    ) -> Output:
        check_body(template_body)
        async with self.provisioning.changing:
            found = self._provisioning_template(template_name)
            changed = self.more(found, template_body, call.now, as_default=set_as_default)
            await self.provisioning.templates.put(template_name, changed)
        return {
            "templateArn": self.names.arn("provisioningtemplate", template_name),
            "templateName": template_name,
            "versionId": changed.newest.id,
            "isDefaultVersion": set_as_default,
        }

    @operation()
    async def describe_provisioning_template_version(
        self, call: Call, *, template_name: str, version_id: int
    ) -> Output:
        found = self._provisioning_template(template_name)
        version = self.version(found, version_id)
        return {**_version_summary(found, version), "templateBody": version.text}

    @operation()
    async def list_provisioning_template_versions(
        self, call: Call, *, template_name: str, max_results: int | None = None, next_token: str | None = None
    ) -> Output:
        found = self._provisioning_template(template_name)
        start = pages.after(next_token)
        rows = ((f"{one.id:09}", one) for one in found.versions if f"{one.id:09}" > start)
        versions, token = pages.page(rows, pages.size(max_results))
        return pages.with_token({"versions": [_version_summary(found, one) for one in versions]}, "nextToken", token)

    @operation()
    async def delete_provisioning_template_version(self, call: Call, *, template_name: str, version_id: int) -> Output:
        async with self.provisioning.changing:
            found = self._provisioning_template(template_name)
            await self.provisioning.templates.put(template_name, self.fewer(found, version_id, call.now))
        return {}

    # ------------------------------------------------------------------------------------- one thing at once

    @operation()
    async def register_thing(
        self, call: Call, *, template_body: str, parameters: Mapping[str, str] | None = None
    ) -> Output:
        """A template carried out at once, by an operator."""
        return await self.register_by(template_body, parameters or {}, call.now)

    async def register_by(self, body: str, parameters: Mapping[str, str], now: float) -> Output:
        """Raises ServiceError."""
        try:
            plan = Template.parse(body).plan(parameters)
            certificate = await self._certificate_of_plan(plan, now)
            arns = await carry_out(self.registry, self.names, plan, certificate, now)
        except TemplateError as problem:
            raise invalid(f"Invalid provisioning template: {problem}") from None
        except NotProvisioned as problem:
            raise ServiceError("ResourceRegistrationFailureException", problem.message, status=400) from None
        return {"certificatePem": certificate.pem, "resourceArns": arns}

    async def _certificate_of_plan(self, plan: Plan, now: float) -> Certificate:
        given = plan.certificate
        if given.id is not None:
            return self.certificate(given.id)
        if given.request is not None:
            return await self.of_request(given.request, "INACTIVE", now)
        return await self.put_given(given.pem or "", given.ca_pem, "INACTIVE", now)


def _version_summary(found: ProvisioningTemplate, version: Version) -> Output:
    return {
        "versionId": version.id,
        "creationDate": version.created,
        "isDefaultVersion": version.id == found.default_id,
    }
