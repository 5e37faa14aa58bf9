"""One certificate under its ARN: what is kept of it, and how ACM tells it. Pure; its key is the catalog's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Final

from littoral.aws.service import Output
from littoral.certificates.errors import invalid_tag, too_many_tags
from littoral.certificates.reading import Facts, facts_of, fingerprint_of

MOST_TAGS: Final = 50
IMPORTED, OWN = "IMPORTED", "AMAZON_ISSUED"  # types; the second is issued by the place's CA
MAILBOXES: Final = ("administrator", "hostmaster", "postmaster", "webmaster", "admin")


@dataclass
class Certificate:
    arn: str
    kind: str  # IMPORTED or AMAZON_ISSUED
    pem: str
    chain: str
    created: float
    renewed: float  # when the certificate that it holds now was imported or issued
    method: str = ""  # DNS or EMAIL
    validation_domains: dict[str, str] = field(default_factory=dict)
    logged: str = "ENABLED"  # CertificateTransparencyLoggingPreference
    token: str = ""  # IdempotencyToken
    tags: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Certificate:
        return cls(**document)

    @property
    def document(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def uid(self) -> str:
        return self.arn.rpartition("/")[2]

    @cached_property
    def facts(self) -> Facts:
        return facts_of(self.pem)

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint_of(self.pem)

    @property
    def shown(self) -> bytes:
        """What a TLS server shows. Whoever trusts the place's own CA has it."""
        return (self.pem + (self.chain if self.kind == IMPORTED else "")).encode()

    def status(self, now: float) -> str:
        return "ISSUED" if now < self.facts.ends else "EXPIRED"

    def tag(self, tags: Sequence[Mapping[str, str]]) -> None:
        """Raises InvalidTagException, TooManyTagsException."""
        given = {each["Key"]: each.get("Value", "") for each in tags}
        for text in (*given, *given.values()):
            if text.lower().startswith("aws:"):
                raise invalid_tag("Keys and values that begin with aws: are reserved.")
        if len(self.tags | given) > MOST_TAGS:
            raise too_many_tags(MOST_TAGS)
        self.tags = self.tags | given

    def validations(self) -> list[Output]:
        """Of each name, as they are asked for and told; all of them have succeeded."""
        return [self._validation(name) for name in self.facts.names]

    def _validation(self, name: str) -> Output:
        domain = self.validation_domains.get(name, name.removeprefix("*."))
        told: Output = {
            "DomainName": name,
            "ValidationDomain": domain if self.method == "EMAIL" else name,
            "ValidationStatus": "SUCCESS",
            "ValidationMethod": self.method,
        }
        if self.method == "EMAIL":
            return told | {"ValidationEmails": [f"{box}@{domain}" for box in MAILBOXES]}
        return told | {"ResourceRecord": record_of(self.arn.split(":")[4], name)}


def record_of(account: str, name: str) -> Output:
    """The record by which ACM would know a domain's owner: the same for a name and the wildcard above it."""
    domain = name.removeprefix("*.")
    seed = hashlib.sha256(f"{account}/{domain}".encode()).hexdigest()
    return {
        "Name": f"_{seed[:32]}.{domain}.",
        "Type": "CNAME",
        "Value": f"_{seed[32:]}.{seed[:10]}.acm-validations.aws.",
    }
