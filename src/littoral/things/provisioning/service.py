"""Fleet provisioning as a device goes through it: a certificate of its own, then the template.

Theory: the certificate is PENDING_ACTIVATION and its owner holds a token; whoever shows the token within the hour has
the template carried out for it. A certificate whose token ran out unused is deleted. The token is kept as its hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from littoral.aws.service import ServiceError
from littoral.protocols.provisioning import CERTIFICATE_ID, Template, TemplateError
from littoral.store.contract import Records, StoreError
from littoral.store.documents import Documents
from littoral.things.asked import AskedFunctions, NotAnswered
from littoral.things.names import Names
from littoral.things.provisioning.carrying import NotProvisioned, carry_out
from littoral.things.provisioning.facts import ProvisioningTemplate
from littoral.things.registry import Certificate, Registry
from littoral.things.table import Table

log = logging.getLogger(__name__)

TOKEN_LIFE: Final = 3600.0  # seconds
MAX_TOKENS: Final = 10_000  # certificates that were asked for and not used
SWEEP: Final = 60.0  # seconds between looks for tokens that ran out
PENDING: Final = "PENDING_ACTIVATION"


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks: its client id and the claim's certificate."""

    client_id: str
    certificate: str


@dataclass(frozen=True, slots=True)
class Token:
    certificate: str
    expires: float

    def to_json(self) -> dict[str, Any]:
        return {"certificate": self.certificate, "expires": self.expires}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Token:
        return cls(**found)


class Issuer(Protocol):
    """Makes certificates that the device port trusts."""

    async def pair(self, status: str, now: float) -> tuple[Certificate, str]:
        """And the private key, PEM."""

    async def of_request(self, request: str, status: str, now: float) -> Certificate:
        """Raises ServiceError InvalidRequestException."""


class Provisioning:
    def __init__(
        self,
        records: Records,
        registry: Registry,
        names: Names,
        clock: Callable[[], float],
        functions: AskedFunctions,
    ) -> None:
        self.templates: Table[ProvisioningTemplate] = Table(
            Documents(records, "provisioning/"), ProvisioningTemplate.to_json, ProvisioningTemplate.from_json
        )
        self.changing = asyncio.Lock()  # of templates
        self.issuer: Issuer  # set by who composes
        self._tokens: Table[Token] = Table(Documents(records, "ownership/"), Token.to_json, Token.from_json)
        self._making = asyncio.Lock()
        self._registry = registry
        self._names = names
        self._clock = clock
        self._functions = functions
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self.templates.load()
        await self._tokens.load()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="provisioning")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # ------------------------------------------------------------------------------------------- by a device

    async def create_keys(self) -> dict[str, Any]:
        """Raises NotProvisioned. Keys are made one after another: they cost tenths of a second each, on threads that
        others need, too."""
        self._check_room()
        async with self._making:
            certificate, key = await self.issuer.pair(PENDING, self._clock())
        return {**await self._owned(certificate), "privateKey": key}

    def _check_room(self) -> None:
        if len(self._tokens) >= MAX_TOKENS:
            raise NotProvisioned("Throttled", "Too many certificates wait for their template", 429)

    async def create_from_request(self, request: str) -> dict[str, Any]:
        """Raises NotProvisioned."""
        self._check_room()
        try:
            certificate = await self.issuer.of_request(request, PENDING, self._clock())
        except ServiceError as error:
            raise NotProvisioned("InvalidCSR", error.message) from None
        return await self._owned(certificate)

    async def _owned(self, certificate: Certificate) -> dict[str, Any]:
        token = secrets.token_urlsafe(64)
        await self._tokens.put(_hash(token), Token(certificate.id, self._clock() + TOKEN_LIFE))
        return {
            "certificateId": certificate.id,
            "certificatePem": certificate.pem,
            "certificateOwnershipToken": token,
        }

    async def register(
        self, template_name: str, token: str, parameters: Mapping[str, str], who: Asked
    ) -> dict[str, Any]:
        """Thing name and device configuration. Raises NotProvisioned."""
        template = self.templates.get(template_name)
        if template is None:
            raise NotProvisioned("ResourceNotFound", f"There is no provisioning template {template_name}", 404)
        if not template.enabled or template.kind != "FLEET_PROVISIONING":
            raise NotProvisioned("AccessDenied", f"The provisioning template {template_name} is not enabled", 403)
        owned = self._tokens.get(_hash(token))
        certificate = None if owned is None else self._registry.certificates.get(owned.certificate)
        if owned is None or certificate is None or owned.expires <= self._clock():
            raise NotProvisioned("InvalidCertificateOwnershipToken", "The ownership token is unknown or has run out")
        if certificate.status not in (PENDING, "ACTIVE"):  # ACTIVE: the answer was lost and the device asks again
            raise NotProvisioned("AccessDenied", f"The certificate is {certificate.status}", 403)
        allowed = await self._hook(template, certificate, parameters, who)
        arns, name, configuration = await self.carry_out(template.default.text, allowed, certificate)
        log.info("%s provisioned %s by template %s: %s", who.client_id, certificate.id, template_name, sorted(arns))
        return {"thingName": name or "", "deviceConfiguration": configuration}

    async def carry_out(
        self, body: str, parameters: Mapping[str, str], certificate: Certificate
    ) -> tuple[dict[str, str], str | None, Mapping[str, Any]]:
        """ARNs by logical name, the thing's name, and the device configuration, of a template whose certificate is
        there already. Raises NotProvisioned."""
        try:
            plan = Template.parse(body).plan({**parameters, CERTIFICATE_ID: certificate.id})
        except TemplateError as problem:
            raise NotProvisioned("InvalidParameters", str(problem)) from None
        if plan.certificate.id != certificate.id:
            raise NotProvisioned(
                "InvalidParameters", f'The template\'s certificate must be {{"Ref": "{CERTIFICATE_ID}"}}'
            )
        arns = await carry_out(self._registry, self._names, plan, certificate, self._clock())
        return arns, None if plan.thing is None else plan.thing.name, plan.configuration

    async def _hook(
        self, template: ProvisioningTemplate, certificate: Certificate, parameters: Mapping[str, str], who: Asked
    ) -> Mapping[str, str]:
        """The parameters as the pre-provisioning hook leaves them."""
        if not template.hook:
            return parameters
        arn = self._names.arn("provisioningtemplate", template.name)
        event = {
            "claimCertificateId": who.certificate,
            "certificateId": certificate.id,
            "certificatePem": certificate.pem,
            "templateArn": arn,
            "templateName": template.name,
            "clientId": who.client_id,
            "parameters": dict(parameters),
        }
        try:
            answer = json.loads(await self._functions.ask(template.hook["targetArn"], event, arn))
        except (NotAnswered, ValueError) as problem:
            log.warning("the pre-provisioning hook of %s failed: %s", template.name, problem)
            raise NotProvisioned("AccessDenied", "The pre-provisioning hook failed", 403) from None
        if not isinstance(answer, dict):
            answer = {}
        if answer.get("allowProvisioning") is not True:
            raise NotProvisioned("AccessDenied", "The pre-provisioning hook does not allow it", 403)
        overrides = answer.get("parameterOverrides") or {}
        if not isinstance(overrides, dict) or not all(isinstance(value, str) for value in overrides.values()):
            raise NotProvisioned("AccessDenied", "The pre-provisioning hook's parameterOverrides are no texts", 403)
        return {**parameters, **overrides}

    # -------------------------------------------------------------------------------------------------- time

    async def _run(self) -> None:
        while True:
            try:
                await self.sweep()
            except StoreError as problem:
                log.warning("tokens that ran out stay for a while: %s", problem)
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """Until the next claim runs out, at most ``SWEEP``, which is less than a claim's life."""
        first = min((claim.expires for claim in self._registry.claims.values()), default=math.inf)
        return min(SWEEP, max(first - self._clock(), 0.05))

    async def sweep(self) -> None:
        """Delete what was made for a token that ran out and was not used, and claims that ran out."""
        now = self._clock()
        for claim in [claim for claim in self._registry.claims.values() if claim.expires <= now]:
            await self._registry.claims.delete(claim.certificate)
            self._registry.changed([claim.certificate])
        for key, token in list(self._tokens.items()):
            if token.expires > now:
                continue
            async with self._registry.changing:
                certificate = self._registry.certificates.get(token.certificate)
                if certificate is not None and certificate.status == PENDING:
                    await self._registry.certificates.delete(certificate.id)
                await self._tokens.delete(key)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
