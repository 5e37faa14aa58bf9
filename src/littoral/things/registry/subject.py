"""What a certificate says, as policy variables (``iot:Certificate.Subject.CommonName`` and its kind).

AWS's limits (cert-policy-variables): five values of an attribute; no value with a wildcard character or longer than
1,024 characters, since putting it into a pattern could widen the pattern.
"""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

_ATTRIBUTES: Final = {
    NameOID.DN_QUALIFIER: "DistinguishedNameQualifier",
    NameOID.COUNTRY_NAME: "Country",
    NameOID.ORGANIZATION_NAME: "Organization",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OrganizationalUnit",
    NameOID.STATE_OR_PROVINCE_NAME: "State",
    NameOID.COMMON_NAME: "CommonName",
    NameOID.SERIAL_NUMBER: "SerialNumber",
    NameOID.TITLE: "Title",
    NameOID.SURNAME: "Surname",
    NameOID.GIVEN_NAME: "GivenName",
    NameOID.INITIALS: "Initials",
    NameOID.PSEUDONYM: "Pseudonym",
    NameOID.GENERATION_QUALIFIER: "GenerationQualifier",
}
_ALTERNATIVE: Final[dict[type[x509.GeneralName], str]] = {
    x509.RFC822Name: "RFC822Name",
    x509.DNSName: "DNSName",
    x509.UniformResourceIdentifier: "UniformResourceIdentifier",
    x509.IPAddress: "IPAddress",
}
_WILD: Final = frozenset("*$+?#")
MAX_VALUES: Final = 5
MAX_LENGTH: Final = 1024


def certificate_variables(pem: str) -> dict[str, str | tuple[str, ...]]:
    """By lower-case name. ``.1`` is the second value of an attribute, ``.list`` are all."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    found: dict[str, list[str]] = {}
    for side, name in (("subject", certificate.subject), ("issuer", certificate.issuer)):
        for attribute in name:
            label = _ATTRIBUTES.get(attribute.oid)
            if label is not None:
                value = attribute.value
                text = value if isinstance(value, str) else value.hex()
                found.setdefault(f"iot:certificate.{side}.{label.lower()}", []).append(text)
    for label, value in _alternative_names(certificate):
        found.setdefault(f"iot:certificate.subject.alternativename.{label.lower()}", []).append(value)
    variables: dict[str, str | tuple[str, ...]] = {"iot:certificate.serialnumber": str(certificate.serial_number)}
    for key, values in found.items():
        variables.update(_values(key, [value for value in values[:MAX_VALUES] if _usable(value)]))
    variables["iot:certificate.availablekeys"] = tuple(sorted(variables))
    return variables


def _usable(value: str) -> bool:
    return len(value) <= MAX_LENGTH and not _WILD.intersection(value)


def _values(key: str, values: list[str]) -> dict[str, str | tuple[str, ...]]:
    if not values:
        return {}
    numbered: dict[str, str | tuple[str, ...]] = {f"{key}.{index}": value for index, value in enumerate(values)}
    return {**numbered, key: values[0], f"{key}.list": tuple(values)}


def _alternative_names(certificate: x509.Certificate) -> list[tuple[str, str]]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [(_ALTERNATIVE[type(name)], str(name.value)) for name in names if type(name) in _ALTERNATIVE]
