"""``/_littoral/console``: one page that shows what ``/metrics`` counts of things, with a plot; read-only.

Owns: the page's files and who gets them. As ``/metrics`` it asks for no signature, and beyond that it is for this
machine's own browsers alone. It loads nothing from elsewhere, and its policy lets it ask nobody but this place.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from littoral.net.message import Headers, Request, Response

PATH: Final = "/_littoral/console"
_POLICY: Final = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'"
_FILES: Final = {
    PATH: ("page.html", "text/html; charset=utf-8"),
    f"{PATH}/page.js": ("page.js", "text/javascript; charset=utf-8"),
    f"{PATH}/page.css": ("page.css", "text/css; charset=utf-8"),
}


def console(request: Request) -> Response:
    """The handler of everything under ``PATH``."""
    if not of_this_machine(request.peer.host):
        return _text(403, "the console is for browsers on this machine")
    return page(request, _FILES)


def page(request: Request, served: Mapping[str, tuple[str, str]]) -> Response:
    """One of these files, by path: its name here and its type."""
    found = served.get(request.raw_path)
    if found is None or request.method != "GET":
        return _text(404, "not here")
    name, kind = found
    headers = [
        ("content-type", kind),
        ("content-security-policy", _POLICY),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-cache"),
    ]
    return Response(200, Headers.of(headers), files(__package__).joinpath(name).read_bytes())


def of_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _text(status: int, text: str) -> Response:
    return Response(status, Headers.of([("content-type", "text/plain")]), f"{text}\n".encode())
