"""One request as one line of CloudFront's standard access log: 33 fields, tab separated. Pure.

Source: developer guide, "Standard logging reference". A field with nothing to say is ``-``.
"""

from __future__ import annotations

import time
from functools import lru_cache

from littoral.edge.accesslog.view import Record, Source, View, encoded

FIELDS = (
    "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) "
    "cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken "
    "x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status "
    "fle-encrypted-fields c-port time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len "
    "sc-range-start sc-range-end"
)
HEAD = f"#Version: 1.0\n#Fields: {FIELDS}\n"


def line(record: Record, source: Source) -> str:
    view = View(record, source)
    asked, answered, spans = view.asked, view.answered, view.spans
    fields = (
        *_moment(int(record.ended)),
        source.pop,
        str(view.sent),
        record.host,
        record.method,
        source.domain,
        view.path,
        f"{record.status:03d}",
        asked.get("referer", ""),
        asked.get("user-agent", ""),
        view.query,
        asked.get("cookie", "") if source.cookies else "",
        view.result,
        answered.get("x-amz-cf-id", ""),
        asked.get("host", ""),
        view.protocol,
        str(view.received),
        f"{max(0.0, record.ended - record.began):.3f}",
        asked.get("x-forwarded-for", ""),
        view.tls[0],
        view.tls[1],
        view.before,
        f"HTTP/{record.version}",
        "",
        "",
        str(record.port),
        f"{max(0.0, record.first - record.began):.3f}",
        view.detail,
        answered.get("content-type", ""),
        view.content_length,
        spans[1] if spans else "",
        spans[2] if spans else "",
    )
    return "\t".join([encoded(field) or "-" for field in fields])


@lru_cache(maxsize=16)
def _moment(second: int) -> tuple[str, str]:
    moment = time.gmtime(second)
    return time.strftime("%Y-%m-%d", moment), time.strftime("%H:%M:%S", moment)
