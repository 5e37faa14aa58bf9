"""Domain configurations (``things/domains``). The names of the place itself are shown as AWS shows its endpoints."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.things.authorizers import Authorizers
from littoral.things.control import pages
from littoral.things.control.base import Noun
from littoral.things.control.errors import exists, invalid, not_found
from littoral.things.control.tagging import TagList
from littoral.things.domains import Domain, Domains

SECURITY_POLICY: Final = "IoTSecurityPolicy_TLS13_1_2_2022_10"  # TLS 1.2 and 1.3: what the device port speaks
ENDPOINTS: Final = {"iot:Data-ATS": "DATA", "iot:Jobs": "JOBS", "iot:CredentialProvider": "CREDENTIAL_PROVIDER"}
_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_NOTES: Final = (
    "a domainName is needed; the certificate is the operator's (mqtt_certificates) or of the place's authority, "
    f"ARNs of certificates are refused; tlsConfig {SECURITY_POLICY}, authenticationType and applicationProtocol DEFAULT"
)


class DomainConfigurations(Noun):
    """``authorizers``, ``domains`` and ``endpoint`` are set when the API is composed."""

    authorizers: Authorizers
    domains: Domains
    endpoint: Callable[[], str]

    def _domain(self, name: str) -> Domain:
        found = self.domains.table.get(name)
        if found is None:
            raise not_found(f"Domain configuration {name} cannot be found.")
        return found

    def _referred(self, name: str) -> Output:
        return {"domainConfigurationName": name, "domainConfigurationArn": self.names.arn("domainconfiguration", name)}

    def _deciding(self, config: Mapping[str, Any]) -> tuple[str, bool]:
        """Raises InvalidRequestException."""
        name, override = config.get("defaultAuthorizerName"), config.get("allowAuthorizerOverride")
        if name is None or override is None:
            raise invalid("authorizerConfig needs defaultAuthorizerName and allowAuthorizerOverride")
        if name not in self.authorizers.table:
            raise invalid(f"Authorizer {name} cannot be found.")
        return name, override

    @operation(notes=_NOTES)
    async def create_domain_configuration(
        self,
        call: Call,
        *,
        domain_configuration_name: str,
        domain_name: str | None = None,
        server_certificate_arns: Sequence[str] = (),
        authorizer_config: Mapping[str, Any] | None = None,
        service_type: str = "DATA",
        tags: TagList = (),
        tls_config: Mapping[str, str] | None = None,
        authentication_type: str = "DEFAULT",
        application_protocol: str = "DEFAULT",
    ) -> Output:
        host = (domain_name or "").lower()
        if not _HOST.fullmatch(host):
            raise invalid("A domainName is needed, such as iot.example.com: this place has no domain to give away")
        if service_type != "DATA":
            raise invalid("serviceType must be DATA")
        if server_certificate_arns:
            raise ServiceError(
                "CertificateValidationException",
                "There is no certificate manager here: NAME.crt and NAME.key of the operator are shown, or a "
                "certificate of the place's own authority",
                status=400,
            )
        _check(tls_config, authentication_type, application_protocol)
        async with self.registry.changing:
            authorizer, override = (None, False) if authorizer_config is None else self._deciding(authorizer_config)
            made = Domain(domain_configuration_name, host, call.now, call.now, True, authorizer, override)
            called = self._referred(made.name)
            taken = self.domains.of(host)
            if taken is not None or domain_configuration_name in self.domains.table:
                what = f"The domain {host}" if taken is not None else f"Domain configuration {made.name}"
                raise exists(f"{what} already exists.", called["domainConfigurationArn"], made.name)
            await self.tag_new(called["domainConfigurationArn"], call.now, tags)
            await self.domains.table.put(made.name, made)
        return called

    @operation()
    async def update_domain_configuration(
        self,
        call: Call,
        *,
        domain_configuration_name: str,
        authorizer_config: Mapping[str, Any] | None = None,
        domain_configuration_status: str | None = None,
        remove_authorizer_config: bool = False,
        tls_config: Mapping[str, str] | None = None,
        authentication_type: str = "DEFAULT",
        application_protocol: str = "DEFAULT",
    ) -> Output:
        """Of the next handshakes; who is connected stays."""
        if domain_configuration_name in ENDPOINTS:
            raise invalid(f"{domain_configuration_name} is this place's own and is not changed")
        if remove_authorizer_config and authorizer_config is not None:
            raise invalid("authorizerConfig cannot be given and removed at once")
        _check(tls_config, authentication_type, application_protocol)
        async with self.registry.changing:
            found = changed = self._domain(domain_configuration_name)
            if remove_authorizer_config:
                changed = replace(changed, authorizer=None, override=False)
            if authorizer_config is not None:
                authorizer, override = self._deciding(authorizer_config)
                changed = replace(changed, authorizer=authorizer, override=override)
            enabled = found.enabled if domain_configuration_status is None else domain_configuration_status == "ENABLED"
            if enabled != found.enabled:
                changed = replace(changed, enabled=enabled, changed=call.now)
            await self.domains.table.put(found.name, changed)
        return self._referred(found.name)

    @operation()
    async def delete_domain_configuration(self, call: Call, *, domain_configuration_name: str) -> Output:
        async with self.registry.changing:
            found = self._domain(domain_configuration_name)
            if found.enabled:
                raise invalid(f"Domain configuration {found.name} is ENABLED: make it DISABLED first")
            await self.domains.table.delete(found.name)
        return {}

    @operation()
    async def describe_domain_configuration(self, call: Call, *, domain_configuration_name: str) -> Output:
        common = {
            "tlsConfig": {"securityPolicy": SECURITY_POLICY},
            "authenticationType": "DEFAULT",
            "applicationProtocol": "DEFAULT",
            "serverCertificates": [],
        }
        if domain_configuration_name in ENDPOINTS:
            return {
                **self._own(domain_configuration_name),
                **common,
                "domainName": self.endpoint(),
                "domainConfigurationStatus": "ENABLED",
                "domainType": "ENDPOINT",
            }
        found = self._domain(domain_configuration_name)
        config = {"defaultAuthorizerName": found.authorizer, "allowAuthorizerOverride": found.override}
        return {
            **self._referred(found.name),
            **common,
            **({"authorizerConfig": config} if found.authorizer is not None else {}),
            "domainName": found.host,
            "serviceType": "DATA",
            "domainConfigurationStatus": "ENABLED" if found.enabled else "DISABLED",
            "domainType": "CUSTOMER_MANAGED",
            "lastStatusChangeDate": found.changed,
        }

    def _own(self, name: str) -> Output:
        return {**self._referred(name), "serviceType": ENDPOINTS[name]}

    @operation()
    async def list_domain_configurations(
        self, call: Call, *, marker: str | None = None, page_size: int | None = None, service_type: str | None = None
    ) -> Output:
        every = {name: self._own(name) for name in ENDPOINTS}
        every |= {one.name: {**self._referred(one.name), "serviceType": "DATA"} for one in self.domains.table.values()}
        start = pages.after(marker)
        rows = (
            (name, row)
            for name, row in sorted(every.items())
            if name > start and service_type in (None, row["serviceType"])
        )
        found, token = pages.page(rows, pages.size(page_size))
        return pages.with_token({"domainConfigurations": found}, "nextMarker", token)


def _check(tls: Mapping[str, str] | None, authentication: str, protocol: str) -> None:
    """Raises InvalidRequestException for what this place would not do."""
    policy = (tls or {}).get("securityPolicy", SECURITY_POLICY)
    if policy != SECURITY_POLICY:
        raise invalid(f"The security policy {policy[:128]!r} is not available: there is {SECURITY_POLICY}")
    if authentication != "DEFAULT":
        raise invalid("authenticationType must be DEFAULT: certificates and authorizers, whatever the client shows")
    if protocol != "DEFAULT":
        raise invalid("applicationProtocol must be DEFAULT: one port for MQTT, WebSockets and HTTPS")
