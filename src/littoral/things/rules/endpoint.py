"""URLs of the ``http`` action: which are taken, and which destination covers which URL."""

from __future__ import annotations

from urllib.parse import urlsplit


def check_url(url: str) -> str | None:
    """Why it is not one to post to; None when it is."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"{url[:300]!r} is not a URL: {error}"
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        return f"{url[:300]!r} is not the URL of an HTTP endpoint"
    if parts.username is not None or parts.fragment or any(character <= " " or character > "~" for character in url):
        return f"{url[:300]!r} holds what the URL of an endpoint may not"
    return None


def covers(confirmed: str, url: str) -> bool:
    """Whether a URL begins with a confirmed one, ending at a border: ``https://a.example`` is not the beginning of
    ``https://a.example.org``."""
    if not url.startswith(confirmed):
        return False
    rest = url[len(confirmed) :]
    return not rest or confirmed.endswith("/") or rest[0] in "/?"
