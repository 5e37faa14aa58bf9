"""The Certificate Manager API (botocore's "acm").

What is requested is issued at once by the place's own CA: no proof is asked for that a domain is the caller's, no mail
is sent, nothing is told to a transparency log. Whoever shall trust such a certificate trusts the place's ``ca.pem``.
"""

from __future__ import annotations

import asyncio
import copy
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from littoral.aws.service import Call, Output, operation
from littoral.certificates.catalog import Catalog
from littoral.certificates.certificate import IMPORTED, OWN, Certificate
from littoral.certificates.errors import (
    in_use,
    invalid,
    invalid_domain_validation,
    invalid_parameter,
    invalid_state,
    not_implemented,
    too_many,
)
from littoral.certificates.listing import Listing
from littoral.certificates.ports import Users
from littoral.certificates.reading import check_import
from littoral.net.pki import Authority, Issued, PrivateKey

LIFE: Final = 395  # days, as ACM's
MOST: Final = 2500  # certificates of an account ("Quotas")
MOST_NAMES: Final = 100  # of a certificate
TOKEN_HOLDS: Final = 3600.0  # seconds in which a request with the same token is the same request
KEYS: Final[dict[str, Callable[[], PrivateKey]]] = {  # those that ACM issues for
    "RSA_2048": lambda: rsa.generate_private_key(65537, 2048),
    "EC_prime256v1": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EC_secp384r1": lambda: ec.generate_private_key(ec.SECP384R1()),
}


class CertificatesApi(Listing):
    """https://docs.aws.amazon.com/acm/latest/APIReference/"""

    def __init__(self, catalog: Catalog, users: Users, authority: Authority, region: str, account: str) -> None:
        super().__init__(catalog, users)
        self._authority = authority
        self._prefix = f"arn:aws:acm:{region}:{account}:certificate/"

    # ------------------------------------------------------------------------------------------------ made

    @operation()
    async def import_certificate(
        self,
        call: Call,
        *,
        certificate: bytes,
        private_key: bytes,
        certificate_chain: bytes = b"",
        certificate_arn: str | None = None,
        tags: Sequence[Mapping[str, str]] = (),
    ) -> Output:
        """Again under an ARN: whoever shows that certificate shows the new one from then on."""
        pem, key, chain = check_import(certificate, private_key, certificate_chain, call.now)
        async with self._catalog.lock:
            if certificate_arn is None:
                made = Certificate(self._new_arn(), IMPORTED, pem, chain, call.now, call.now)
                made.tag(tags)
                await self._keep(made, key)
                return {"CertificateArn": made.arn}
            if tags:
                raise invalid("Tagging is not permitted on re-import.")
            before = self._catalog.find(certificate_arn)
            if before.kind != IMPORTED:
                raise invalid("Only a certificate that was imported can be imported again.")
            made = replace(before, pem=pem, chain=chain, renewed=call.now)
            if made.facts.key_algorithm != before.facts.key_algorithm:
                raise invalid("The key type and size of a certificate that is imported again may not change.")
            await self._replace(made, key)
        return {"CertificateArn": certificate_arn}

    @operation(
        notes="issued at once by the place's CA: no validation is waited for, no mail sent, no transparency log told; "
        "domainValidationOptions and validationMethod are kept and shown; options.export ENABLED is refused"
    )
    async def request_certificate(
        self,
        call: Call,
        *,
        domain_name: str,
        validation_method: str = "EMAIL",
        subject_alternative_names: Sequence[str] = (),
        idempotency_token: str = "",
        domain_validation_options: Sequence[Mapping[str, str]] = (),
        options: Mapping[str, str] | None = None,
        tags: Sequence[Mapping[str, str]] = (),
        key_algorithm: str = "RSA_2048",
    ) -> Output:
        if validation_method == "HTTP":
            raise invalid_parameter("HTTP validation is for certificates that CloudFront manages.")
        if key_algorithm not in KEYS:
            raise invalid_parameter(f"Certificates are requested for keys of {', '.join(KEYS)}.")
        names = list(dict.fromkeys(name.lower() for name in (domain_name, *subject_alternative_names)))
        if len(names) > MOST_NAMES:
            raise too_many(f"A certificate can have at most {MOST_NAMES} domain names.")
        domains = _validation_domains(domain_validation_options, names)
        issued = await self._issue(names, key_algorithm)
        made = Certificate(
            self._new_arn(),
            OWN,
            issued.certificate.decode(),
            self._authority.certificate_pem.decode(),
            call.now,
            call.now,
            method=validation_method,
            validation_domains=domains,
            logged=_logged(options or {}, "ENABLED"),
            token=idempotency_token,
        )
        made.tag(tags)
        async with self._catalog.lock:
            known = self._requested_before(made)
            if known is None:
                await self._keep(made, issued.private_key.decode())
        return {"CertificateArn": (known or made).arn}

    def _requested_before(self, asked: Certificate) -> Certificate | None:
        for each in self._catalog.all() if asked.token else ():
            if each.token == asked.token and asked.created - each.created < TOKEN_HOLDS:
                if (each.facts.names, each.method) != (asked.facts.names, asked.method):
                    raise invalid_parameter("That idempotency token was used for another request within the last hour.")
                return each
        return None

    async def _issue(self, names: Sequence[str], algorithm: str) -> Issued:
        key = await asyncio.to_thread(KEYS[algorithm])
        return self._authority.issue_server(names, LIFE, key)

    async def _keep(self, made: Certificate, key: str) -> None:
        if len(self._catalog.all()) >= MOST:
            raise too_many(f"There are {MOST} certificates already.")
        await self._catalog.put_key(made, key)
        await self._catalog.save(made)

    async def _replace(self, made: Certificate, key: str) -> None:
        await self._catalog.put_key(made, key)
        await self._users.renewed(lambda: self._catalog.save(made))

    async def renew(self, arn: str, now: float) -> None:
        """As ACM renews by itself what it has issued: another key and certificate for the same names."""
        async with self._catalog.lock:
            before = self._catalog.find(arn)
            issued = await self._issue(before.facts.names, before.facts.key_algorithm)
            made = replace(
                before,
                pem=issued.certificate.decode(),
                chain=self._authority.certificate_pem.decode(),
                renewed=now,
            )
            await self._replace(made, issued.private_key.decode())

    def _new_arn(self) -> str:
        return self._prefix + str(uuid.uuid4())

    # ------------------------------------------------------------------------------------------------ changed, deleted

    @operation()
    async def delete_certificate(self, call: Call, *, certificate_arn: str) -> Output:
        async with self._catalog.lock, self._users.changing():
            found = self._catalog.find(certificate_arn)
            if self._users.of(certificate_arn):
                raise in_use(certificate_arn)
            await self._catalog.forget(found)
        return {}

    @operation(notes="no transparency log is told, whatever is preferred; export ENABLED is refused")
    async def update_certificate_options(
        self, call: Call, *, certificate_arn: str, options: Mapping[str, str]
    ) -> Output:
        async with self._catalog.lock:
            changed = copy.copy(self._catalog.find(certificate_arn))
            if changed.kind != OWN:
                raise invalid_state("An imported certificate has no options.")
            changed.logged = _logged(options, changed.logged)
            await self._catalog.save(changed)
        return {}

    @operation()
    async def add_tags_to_certificate(
        self, call: Call, *, certificate_arn: str, tags: Sequence[Mapping[str, str]]
    ) -> Output:
        async with self._catalog.lock:
            changed = copy.copy(self._catalog.find(certificate_arn))
            changed.tag(tags)
            await self._catalog.save(changed)
        return {}

    @operation()
    async def remove_tags_from_certificate(
        self, call: Call, *, certificate_arn: str, tags: Sequence[Mapping[str, str]]
    ) -> Output:
        """A tag that is named with its value goes only where it has that value."""
        async with self._catalog.lock:
            changed = copy.copy(self._catalog.find(certificate_arn))
            gone = {
                each["Key"] for each in tags if "Value" not in each or changed.tags.get(each["Key"]) == each["Value"]
            }
            changed.tags = {key: value for key, value in changed.tags.items() if key not in gone}
            await self._catalog.save(changed)
        return {}


def _validation_domains(options: Sequence[Mapping[str, str]], names: Sequence[str]) -> dict[str, str]:
    """Raises InvalidDomainValidationOptionsException."""
    found = {}
    for each in options:
        name, domain = each["DomainName"].lower(), each["ValidationDomain"].lower()
        if name not in names:
            raise invalid_domain_validation(f"{name} is none of the names of the request.")
        if not ("." + name).endswith("." + domain):
            raise invalid_domain_validation(f"{domain} is neither {name} nor a domain above it.")
        found[name] = domain
    return found


def _logged(options: Mapping[str, Any], before: str) -> str:
    if options.get("Export") == "ENABLED":
        raise not_implemented("certificates that are exported (Options.Export)")
    return str(options.get("CertificateTransparencyLoggingPreference", before))
