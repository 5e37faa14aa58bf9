"""The fields of a real-time log record. Pure.

Source: developer guide, "Use real-time access logs". Values stand in the order of the configuration, tab separated,
URL-encoded as in access logs; ``-`` where there is nothing to say, a line feed at the end.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from littoral.edge.accesslog.view import View, encoded
from littoral.edge.geo import Whereabouts

MOST = 1390  # bytes of cs-headers and cs-header-names


@dataclass(frozen=True, slots=True)
class Moment:
    """What a record is written of: the request, and what is known beside it."""

    view: View
    viewer: Whereabouts
    server: str  # address of this location, "" where it listens on all
    pattern: str  # of the cache behaviour
    distribution: str
    domain: str


Value = Callable[[Moment], str]


def _seconds(value: float) -> str:
    return f"{max(0.0, value):.3f}"


def _asked(name: str) -> Value:
    return lambda moment: moment.view.asked.get(name, "")


def _timed(first: bool) -> Value:
    def value(moment: Moment) -> str:
        took = moment.view.record.origin_first if first else moment.view.record.origin_last
        return "" if took < 0 else _seconds(took)

    return value


def _span(index: int) -> Value:
    return lambda moment: moment.view.spans[index] if moment.view.spans is not None else ""


def _ip_version(moment: Moment) -> str:
    try:
        return f"IPv{ipaddress.ip_address(moment.view.record.host).version}"
    except ValueError:
        return ""


def _headers(moment: Moment) -> str:
    pairs = (f"{name.decode('latin-1')}:{value.decode('latin-1')}\n" for name, value in moment.view.record.asked)
    return "".join(pairs)[:MOST]


def _header_names(moment: Moment) -> str:
    return "".join(f"{name.decode('latin-1')}\n" for name, _ in moment.view.record.asked)[:MOST]


def _cmcd(key: str) -> Value:
    """Common Media Client Data (CTA-5004): of the query, or of the four headers."""
    return lambda moment: cmcd_of(moment.view.query, tuple(moment.view.asked.get(name, "") for name in CMCD)).get(
        key, ""
    )


CMCD = ("cmcd-object", "cmcd-request", "cmcd-session", "cmcd-status")


@lru_cache(maxsize=64)
def cmcd_of(query: str, headers: tuple[str, ...]) -> dict[str, str]:
    in_query = [unquote(part[5:]) for part in query.split("&") if part.startswith("CMCD=")]
    found: dict[str, str] = {}
    for text in (*in_query, *headers):
        for part in _parts(text):
            name, given, value = part.strip().partition("=")
            if name:
                found[name] = value.strip('"') if given else "true"
    return found


def _parts(text: str) -> list[str]:
    """Between commas that stand in no quotes."""
    parts, quoted = [""], False
    for character in text:
        quoted ^= character == '"'
        if character == "," and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return parts


FIELDS: dict[str, Value] = {
    "timestamp": lambda moment: f"{moment.view.record.ended:.3f}",
    "c-ip": lambda moment: moment.view.record.host,
    "s-ip": lambda moment: moment.server,
    "time-to-first-byte": lambda moment: _seconds(moment.view.record.first - moment.view.record.began),
    "sc-status": lambda moment: f"{moment.view.record.status:03d}",
    "sc-bytes": lambda moment: str(moment.view.sent),
    "cs-method": lambda moment: moment.view.record.method,
    "cs-protocol": lambda moment: moment.view.protocol,
    "cs-host": lambda moment: moment.domain,
    "cs-uri-stem": lambda moment: moment.view.path,
    "cs-bytes": lambda moment: str(moment.view.received),
    "x-edge-location": lambda moment: moment.view.source.pop,
    "x-edge-request-id": lambda moment: moment.view.answered.get("x-amz-cf-id", ""),
    "x-host-header": _asked("host"),
    "time-taken": lambda moment: _seconds(moment.view.record.ended - moment.view.record.began),
    "cs-protocol-version": lambda moment: f"HTTP/{moment.view.record.version}",
    "c-ip-version": _ip_version,
    "cs-user-agent": _asked("user-agent"),
    "cs-referer": _asked("referer"),
    "cs-cookie": _asked("cookie"),
    "cs-uri-query": lambda moment: moment.view.query,
    "x-edge-response-result-type": lambda moment: moment.view.before,
    "x-forwarded-for": _asked("x-forwarded-for"),
    "ssl-protocol": lambda moment: moment.view.tls[0],
    "ssl-cipher": lambda moment: moment.view.tls[1],
    "x-edge-result-type": lambda moment: moment.view.result,
    "fle-encrypted-fields": lambda moment: "",
    "fle-status": lambda moment: "",
    "sc-content-type": lambda moment: moment.view.answered.get("content-type", ""),
    "sc-content-len": lambda moment: moment.view.content_length,
    "sc-range-start": _span(1),
    "sc-range-end": _span(2),
    "c-port": lambda moment: str(moment.view.record.port),
    "x-edge-detailed-result-type": lambda moment: moment.view.detail,
    "c-country": lambda moment: moment.viewer.country,
    "cs-accept-encoding": _asked("accept-encoding"),
    "cs-accept": _asked("accept"),
    "cache-behavior-path-pattern": lambda moment: moment.pattern,
    "cs-headers": _headers,
    "cs-header-names": _header_names,
    "cs-headers-count": lambda moment: str(len(moment.view.record.asked)),
    "primary-distribution-id": lambda moment: moment.distribution,
    "primary-distribution-dns-name": lambda moment: moment.domain,
    "origin-fbl": _timed(True),
    "origin-lbl": _timed(False),
    "asn": lambda moment: moment.viewer.asn,
    "r-host": lambda moment: moment.view.record.origin,
    "sr-reason": lambda moment: moment.view.record.reason,
    "cmcd-encoded-bitrate": _cmcd("br"),
    "cmcd-buffer-length": _cmcd("bl"),
    "cmcd-buffer-starvation": _cmcd("bs"),
    "cmcd-content-id": _cmcd("cid"),
    "cmcd-object-duration": _cmcd("d"),
    "cmcd-deadline": _cmcd("dl"),
    "cmcd-measured-throughput": _cmcd("mtp"),
    "cmcd-next-object-request": _cmcd("nor"),
    "cmcd-next-range-request": _cmcd("nrr"),
    "cmcd-object-type": _cmcd("ot"),
    "cmcd-playback-rate": _cmcd("pr"),
    "cmcd-requested-maximum-throughput": _cmcd("rtp"),
    "cmcd-streaming-format": _cmcd("sf"),
    "cmcd-session-id": _cmcd("sid"),
    "cmcd-stream-type": _cmcd("st"),
    "cmcd-startup": _cmcd("su"),
    "cmcd-top-bitrate": _cmcd("tb"),
    "cmcd-version": _cmcd("v"),
}


def text_of(fields: Sequence[str], moment: Moment) -> str:
    return "\t".join([encoded(FIELDS[name](moment)) or "-" for name in fields]) + "\n"
