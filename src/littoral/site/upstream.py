"""Where a core's place above is, by its settings: at one port, or as AWS has it, each of its protocols at its own."""

from __future__ import annotations

import logging
import re
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from littoral.core.link import Upstream
from littoral.net.tls import client_context
from littoral.site.place import Misconfigured, Place
from littoral.site.settings import Settings

log = logging.getLogger(__name__)

AWS: Final = re.compile(r"[a-z0-9-]+\.iot\.(?P<region>[a-z0-9-]+)\.(?P<domain>amazonaws\.com(\.cn)?)")
"""An account's endpoint for devices."""


def upstream_of(place: Place) -> Upstream:
    """Where the place above is, and the certificate that this core shows it. Raises Misconfigured."""
    settings = place.settings
    if settings.upstream is None or settings.certificate is None or settings.private_key is None:
        raise Misconfigured("a core needs --upstream, --certificate and --private-key")
    parts = urlsplit(settings.upstream)
    try:
        pair = settings.certificate.read_bytes(), settings.private_key.read_bytes()
        ca = settings.ca.read_bytes() if settings.ca is not None else None
        tls = client_context(ca=ca, pair=pair)
    except (OSError, ssl.SSLError, ValueError) as problem:
        raise Misconfigured(f"the core's certificate, key or CA cannot be used: {problem}") from problem
    _check_pem(settings.certificate)
    host = parts.hostname or ""
    return Upstream(host, parts.port or 8883, tls, parts.hostname, *_apart(settings, host))


def _apart(settings: Settings, host: str) -> tuple[str, str, str]:
    """Where the place above answers what is not MQTT, as ``Upstream`` has it. Raises Misconfigured."""
    data, credentials, apis = settings.data_endpoint, settings.credentials_endpoint, settings.api_endpoint
    if (aws := AWS.fullmatch(host)) is not None:
        if aws["region"] != settings.region:
            raise Misconfigured(f"{host} is in {aws['region']}, so region must be that, not {settings.region}")
        data = data or f"https://{host}:8443"
        apis = apis or f"https://{{service}}.{aws['region']}.{aws['domain']}"
        if credentials is None:
            log.warning("no credentials-endpoint is set: artifacts in S3, logs, secrets and exports need it")
    for each in (data, credentials, apis):
        if each is not None and not _is_address(each):
            raise Misconfigured(
                f"{each} must be a URL that begins with https://, with nothing to fill in but {{service}}"
            )
    return (data or "").rstrip("/"), (credentials or "").rstrip("/"), (apis or "").rstrip("/")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text.format(service="s3"))
    except (ValueError, LookupError):
        return False
    return parts.scheme == "https" and bool(parts.hostname)


def _check_pem(file: Path) -> None:
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except ValueError as problem:
        raise Misconfigured(f"{file} is not a certificate: {problem}") from problem
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    log.info("this core's certificate: %s", names[0].value if names else "without a common name")
