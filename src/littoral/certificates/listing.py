"""Reading: one certificate, its PEM, its tags, and lists of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from littoral.aws.service import Call, Output, operation
from littoral.certificates.catalog import Catalog
from littoral.certificates.certificate import IMPORTED, Certificate
from littoral.certificates.errors import invalid, invalid_args
from littoral.certificates.ports import Users

PAGE: Final = 1000
LISTED_UNASKED: Final = ("RSA_1024", "RSA_2048")  # ListCertificates without keyTypes
SHOWN_NAMES: Final = 100


class Listing:
    def __init__(self, catalog: Catalog, users: Users) -> None:
        self._catalog = catalog
        self._users = users

    @operation()
    async def describe_certificate(self, call: Call, *, certificate_arn: str) -> Output:
        found = self._catalog.find(certificate_arn)
        facts, users = found.facts, self._users.of(found.arn)
        told: Output = {
            "CertificateArn": found.arn,
            "DomainName": facts.names[0],
            "SubjectAlternativeNames": list(facts.names),
            "Serial": facts.serial,
            "Subject": facts.subject,
            "Issuer": facts.issuer,
            "CreatedAt": found.created,
            "Status": found.status(call.now),
            "NotBefore": facts.begins,
            "NotAfter": facts.ends,
            "KeyAlgorithm": facts.key_algorithm,
            "SignatureAlgorithm": facts.signature_algorithm,
            "InUseBy": users,
            "Type": found.kind,
            "KeyUsages": [{"Name": name} for name in facts.usages],
            "ExtendedKeyUsages": [{"Name": name, **({"OID": oid} if oid else {})} for name, oid in facts.purposes],
            "RenewalEligibility": self._eligibility(found),
        }
        if found.kind == IMPORTED:
            told["ImportedAt"] = found.renewed
        else:
            told["IssuedAt"] = found.renewed
            told["DomainValidationOptions"] = found.validations()
            told["Options"] = {"CertificateTransparencyLoggingPreference": found.logged, "Export": "DISABLED"}
            if found.renewed != found.created:
                told["RenewalSummary"] = {
                    "RenewalStatus": "SUCCESS",
                    "DomainValidationOptions": found.validations(),
                    "UpdatedAt": found.renewed,
                }
        return {"Certificate": told}

    def _eligibility(self, found: Certificate) -> str:
        """What is issued here is renewed where somebody shows it."""
        return "ELIGIBLE" if found.kind != IMPORTED and self._users.of(found.arn) else "INELIGIBLE"

    @operation()
    async def get_certificate(self, call: Call, *, certificate_arn: str) -> Output:
        found = self._catalog.find(certificate_arn)
        return {"Certificate": found.pem, **({"CertificateChain": found.chain} if found.chain else {})}

    @operation()
    async def list_tags_for_certificate(self, call: Call, *, certificate_arn: str) -> Output:
        tags = self._catalog.find(certificate_arn).tags
        return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}

    @operation(notes="without keyTypes only certificates of RSA_1024 and RSA_2048 are listed, as ACM does")
    async def list_certificates(
        self,
        call: Call,
        *,
        certificate_statuses: Sequence[str] = (),
        includes: Mapping[str, Any] | None = None,
        next_token: str = "",
        max_items: int = PAGE,
        sort_by: str | None = None,
        sort_order: str | None = None,
    ) -> Output:
        if (sort_by is None) != (sort_order is None):
            raise invalid("SortBy and SortOrder are given together, or neither is.")
        found = [
            each
            for each in self._catalog.all()
            if (not certificate_statuses or each.status(call.now) in certificate_statuses)
            and _included(each, includes or {})
        ]
        if sort_order == "DESCENDING":
            found.reverse()
        start = _place(next_token)
        output: Output = {
            "CertificateSummaryList": [self._summary(each, call.now) for each in found[start : start + max_items]]
        }
        if start + max_items < len(found):
            output["NextToken"] = str(start + max_items)
        return output

    def _summary(self, each: Certificate, now: float) -> Output:
        facts = each.facts
        return {
            "CertificateArn": each.arn,
            "DomainName": facts.names[0],
            "SubjectAlternativeNameSummaries": list(facts.names[:SHOWN_NAMES]),
            "HasAdditionalSubjectAlternativeNames": len(facts.names) > SHOWN_NAMES,
            "Status": each.status(now),
            "Type": each.kind,
            "KeyAlgorithm": facts.key_algorithm,
            "KeyUsages": list(facts.usages),
            "ExtendedKeyUsages": [name for name, _ in facts.purposes],
            "ExportOption": "DISABLED",
            "InUse": bool(self._users.of(each.arn)),
            "RenewalEligibility": self._eligibility(each),
            "NotBefore": facts.begins,
            "NotAfter": facts.ends,
            "CreatedAt": each.created,
            ("ImportedAt" if each.kind == IMPORTED else "IssuedAt"): each.renewed,
        }


def _included(each: Certificate, wanted: Mapping[str, Any]) -> bool:
    """Each filter that is given has to hold: all of the usages, one of the key types."""
    facts = each.facts
    return (
        facts.key_algorithm in (wanted.get("keyTypes") or LISTED_UNASKED)
        and set(wanted.get("keyUsage") or ()) <= set(facts.usages)
        and set(wanted.get("extendedKeyUsage") or ()) <= {name for name, _ in facts.purposes}
        and wanted.get("exportOption", "DISABLED") == "DISABLED"
        and "managedBy" not in wanted
    )


def _place(token: str) -> int:
    if token and not (token.isascii() and token.isdigit()):
        raise invalid_args("Invalid NextToken.")
    return int(token or 0)
