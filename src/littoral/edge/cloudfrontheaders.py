"""The CloudFront-* request headers, made up where a policy asks for them. Pure.

Source: CloudFront developer guide, "Add CloudFront request headers". What a viewer sends under such a name is dropped.
"""

from __future__ import annotations

import hashlib
import re
import textwrap
from collections.abc import Iterable
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from littoral.aws.service import ServiceError
from littoral.edge.geo import Whereabouts
from littoral.net.message import Headers, Peer, Request

PREFIX = "cloudfront-"
PRINTABLE = " !\"#$&'()*+,-./:;<=>?@[]^_`{|}~\\"  # what a header value may hold as it is
_SPELT = {"cloudfront": "CloudFront", "ios": "IOS", "smarttv": "SmartTV"}
_SPELT |= {name: name.upper() for name in ("asn", "tls", "ja3", "ja4")}
LONGEST_ORDER = 7680  # characters of CloudFront-Viewer-Header-Order

ANDROID = re.compile(r"android", re.I)
IOS = re.compile(r"iphone|ipad|ipod", re.I)
TABLET = re.compile(r"ipad|tablet|kindle|silk/|playbook|android(?!.*mobi)", re.I)
MOBILE = re.compile(r"mobi|iphone|ipod|windows phone|blackberry|bb10|opera mini|iemobile", re.I)
TELEVISION = re.compile(
    r"smart-?tv|smarttv|google ?tv|apple ?tv|hbbtv|netcast|web0s|webos.*tv|tizen.*tv|roku|crkey|aft[a-z]|bravia", re.I
)
# from a name to the part of the whereabouts
PLACES = {
    "cloudfront-viewer-asn": "asn",
    "cloudfront-viewer-city": "city",
    "cloudfront-viewer-country": "country",
    "cloudfront-viewer-country-name": "country_name",
    "cloudfront-viewer-country-region": "region",
    "cloudfront-viewer-country-region-name": "region_name",
    "cloudfront-viewer-latitude": "latitude",
    "cloudfront-viewer-longitude": "longitude",
    "cloudfront-viewer-metro-code": "metro_code",
    "cloudfront-viewer-postal-code": "postal_code",
    "cloudfront-viewer-time-zone": "time_zone",
}
DEVICES = frozenset(f"cloudfront-is-{kind}-viewer" for kind in "android desktop ios mobile smarttv tablet".split())
CONNECTION = frozenset(
    (
        "cloudfront-forwarded-proto",
        "cloudfront-viewer-http-version",
        "cloudfront-viewer-address",
        "cloudfront-viewer-tls",
    )
)
STRUCTURE = frozenset(("cloudfront-viewer-header-order", "cloudfront-viewer-header-count"))
CERTIFICATE = frozenset(
    f"cloudfront-viewer-cert-{part}" for part in "serial-number issuer subject validity present pem sha256".split()
)
FINGERPRINTS = frozenset(("cloudfront-viewer-ja3-fingerprint", "cloudfront-viewer-ja4-fingerprint"))
MADE = CERTIFICATE | frozenset(PLACES) | DEVICES | CONNECTION | STRUCTURE | FINGERPRINTS
NOT_IN_A_KEY = frozenset(
    (
        "cloudfront-viewer-address",
        "cloudfront-viewer-asn",
        "cloudfront-viewer-tls",
        "cloudfront-viewer-cert-validity",
        "cloudfront-viewer-cert-pem",
        *FINGERPRINTS,
        *STRUCTURE,
    )
)


def spelt(name: str) -> str:
    """As CloudFront writes it: ``CloudFront-Is-IOS-Viewer``."""
    return "-".join(_SPELT.get(part, part.capitalize()) for part in name.split("-"))


def check_known(name: str) -> None:
    """Raises InvalidArgument for what CloudFront does not have either."""
    if name.startswith(PREFIX) and name not in MADE:
        raise ServiceError("InvalidArgument", f"There is no header {name}.", status=400)


def asked_for(names: Iterable[str]) -> frozenset[str]:
    """The CloudFront headers among the names, in lower case."""
    return frozenset(name for name in names if name.startswith(PREFIX))


def with_made(wanted: frozenset[str], viewer: Request, place: Whereabouts) -> Headers:
    """The viewer's headers with those that are wanted, and with no other CloudFront header."""
    kept = [pair for pair in viewer.headers.raw if not pair[0].startswith(b"cloudfront-")]
    for name in sorted(wanted):
        value = _value(name, viewer, place)
        if value:
            kept.append((name.encode(), value.encode("latin-1")))
    return Headers(kept)


def _value(name: str, viewer: Request, place: Whereabouts) -> str:
    """Empty where it is not known: then there is no such header."""
    if name in PLACES:
        return quote(getattr(place, PLACES[name]), safe=PRINTABLE)
    if name in DEVICES:
        return "true" if name in devices(viewer.headers.get("user-agent") or "") else "false"
    if name in STRUCTURE:
        return _structure(name, viewer.headers)
    if name in CERTIFICATE:
        return _certificate(name.removeprefix("cloudfront-viewer-cert-"), viewer.peer.certificate)
    if name in FINGERPRINTS:
        return viewer.peer.ja3 if "ja3" in name else viewer.peer.ja4
    return _connection(name, viewer, viewer.peer)


def devices(agent: str) -> set[str]:
    """Which device headers are true for a User-Agent; none of the others makes a desktop."""
    television = bool(TELEVISION.search(agent))
    tablet = not television and bool(TABLET.search(agent))
    mobile = not television and bool(MOBILE.search(agent))
    found = {
        "android": bool(ANDROID.search(agent)),
        "ios": bool(IOS.search(agent)),
        "smarttv": television,
        "tablet": tablet,
        "mobile": mobile,
        "desktop": not (television or tablet or mobile),
    }
    return {f"cloudfront-is-{kind}-viewer" for kind, true in found.items() if true}


def _structure(name: str, headers: Headers) -> str:
    """The spelling of names is not kept in this place: each part begins with a capital."""
    if name == "cloudfront-viewer-header-count":
        return str(len(headers.raw))
    order = ":".join("-".join(part.capitalize() for part in each.split("-")) for each, _ in headers.items())
    return order[:LONGEST_ORDER]


def _connection(name: str, viewer: Request, peer: Peer) -> str:
    if name == "cloudfront-forwarded-proto":
        return "https" if peer.tls else "http"
    if name == "cloudfront-viewer-http-version":
        return peer.http_version or viewer.http_version
    if name == "cloudfront-viewer-address":
        return f"{peer.host}:{peer.port}"
    return peer.handshake


def _certificate(part: str, der: bytes | None) -> str:
    """Of the viewer's certificate ("Viewer mTLS headers"); only whether there is one, where there is none."""
    if part == "present":
        return "0" if der is None else "1"
    if der is None:
        return ""
    if part == "sha256":
        return hashlib.sha256(der).hexdigest()
    shown = x509.load_der_x509_certificate(der)
    if part == "serial-number":
        digits = f"{shown.serial_number:x}"
        return ":".join(textwrap.wrap(digits.zfill(len(digits) + len(digits) % 2), 2))
    if part == "validity":
        first, last = (f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in (shown.not_valid_before_utc, shown.not_valid_after_utc))
        return f"NotBefore={first};NotAfter={last}"
    if part == "pem":
        return quote(shown.public_bytes(Encoding.PEM).decode(), safe="+/=-")
    name = shown.issuer if part == "issuer" else shown.subject
    return quote(name.rfc4514_string(), safe=PRINTABLE)
