"""The configuration of aws.greengrass.clientdevices.Auth. Pure.

How long devices are let in after the registry above was last heard of says
``security.clientDeviceTrustDurationMinutes``; AWS's default of 1 minute would turn every outage into one of the ward,
so ours, where nothing is said, is for as long as it lasts. ``performance`` bounds what a core asks of the cloud for its
devices; ours asks nothing for one, so each bound holds, but for ``maxActiveAuthTokens``.
Source: "Client device auth" in the AWS IoT Greengrass V2 guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from littoral.core.clientdevices.groups import NAME, Groups, groups_of
from littoral.core.recipe import BadComponent

MOST_TOKENS: Final = 2500
SHORTEST, LONGEST = 60, 864_000  # seconds that a certificate may last
_MEMBERS: Final[Mapping[str, frozenset[str]]] = {
    "security": frozenset(("clientDeviceTrustDurationMinutes",)),
    "performance": frozenset(("cloudRequestQueueSize", "maxConcurrentCloudRequests", "maxActiveAuthTokens")),
    "certificates": frozenset(("serverCertificateValiditySeconds", "disableCertificateRotation")),
    "certificateAuthority": frozenset(("certificateUri", "privateKeyUri")),
    "metrics": frozenset(("disableMetrics", "aggregatePeriodSeconds")),
}
_KNOWN: Final = frozenset(("deviceGroups", "startupTimeoutSeconds", *_MEMBERS))


@dataclass(frozen=True, slots=True)
class Own:
    """Files of an authority that is not the place's."""

    certificate: Path
    private_key: Path


@dataclass(frozen=True, slots=True)
class Settings:
    groups: Groups = field(default_factory=Groups)
    trusted_for: float | None = None  # seconds without a link; None: always
    most_tokens: int = MOST_TOKENS  # sessions of devices at brokers of components
    lasts: float | None = None  # seconds, of a broker's certificate; None: as long as any of the place's
    rotates: bool = True  # certificates are renewed
    authority: Own | None = None


def settings_of(configuration: Mapping[str, Any]) -> Settings:
    """Raises BadComponent."""
    if unknown := set(configuration) - _KNOWN:
        raise _bad(f"{', '.join(sorted(unknown))} is not served by Littoral's cores")
    parts = {name: _part(configuration, name) for name in _MEMBERS}
    _number(configuration, "startupTimeoutSeconds", 1, 10**9)  # it has started when it is played
    for name in ("cloudRequestQueueSize", "maxConcurrentCloudRequests"):
        _number(parts["performance"], name, 1, 10**9)
    if parts["metrics"] and not _flag(parts["metrics"], "disableMetrics"):
        raise _bad("metrics of client devices are not made by Littoral's cores: disableMetrics must be true")
    minutes = _number(parts["security"], "clientDeviceTrustDurationMinutes", 0, 10**9)
    certificates = parts["certificates"]
    return Settings(
        groups_of(configuration.get("deviceGroups")),
        None if minutes is None else minutes * 60.0,
        int(_number(parts["performance"], "maxActiveAuthTokens", 1, 10**6) or MOST_TOKENS),
        _number(certificates, "serverCertificateValiditySeconds", SHORTEST, LONGEST),
        not _flag(certificates, "disableCertificateRotation"),
        _own(parts["certificateAuthority"]),
    )


def _own(given: Mapping[str, Any]) -> Own | None:
    if not given:
        return None
    return Own(*(_file(given.get(name), name) for name in ("certificateUri", "privateKeyUri")))


def _file(address: Any, name: str) -> Path:
    parts = urlsplit(address) if isinstance(address, str) else None
    path = unquote(parts.path) if parts is not None and parts.scheme == "file" and not parts.netloc else ""
    if not path.startswith("/") or "\0" in path:
        raise _bad(f"{name} of certificateAuthority must be file:///PATH; both are needed")
    return Path(path)


def _part(configuration: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = configuration.get(name, {})
    if not isinstance(found, Mapping) or set(found) - _MEMBERS[name]:
        raise _bad(f"{name} is an object and may have {', '.join(sorted(_MEMBERS[name]))}")
    return found


def _number(given: Mapping[str, Any], name: str, least: int, most: int) -> float | None:
    found = given.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not least <= found <= most:
        raise _bad(f"{name} must be a number from {least} to {most}")
    return float(found)


def _flag(given: Mapping[str, Any], name: str) -> bool:
    found = str(given.get(name, False)).lower()
    if found not in ("true", "false"):
        raise _bad(f"{name} must be true or false")
    return found == "true"


def _bad(message: str) -> BadComponent:
    return BadComponent(f"{NAME}: {message}")
