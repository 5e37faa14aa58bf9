"""What of a response is kept, on what it depends, and what else it puts out of date. Pure."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from littoral.edge.plan import Behaviour
from littoral.edge.upstream import HOP_BY_HOP, ONLY_IF_ASKED
from littoral.net.message import Headers, RawHeaders
from littoral.protocols.httpcache import varies_on

# what the edge says itself, or what only concerned the hop to the origin
NOT_STORED = HOP_BY_HOP | {
    "age",
    "via",
    "x-cache",
    "x-amz-cf-pop",
    "x-amz-cf-id",
    "x-amz-request-id",
    "x-amz-id-2",
}
MOST_TAGS = 50
UNCHANGING = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))  # safe methods, RFC 9110 s. 9.2.1


def storable(headers: Headers) -> RawHeaders:
    return [(name, value) for name, value in headers.raw if name.decode("latin-1") not in NOT_STORED]


def end_to_end(headers: Headers) -> Headers:
    """Without what concerned the hop to the origin only, by its nature or because Connection says so."""
    named = {name.strip().lower() for line in headers.get_all("connection") for name in line.split(",")}
    hop = HOP_BY_HOP | named
    return Headers([pair for pair in headers.raw if pair[0].decode("latin-1") not in hop])


def vary_of(behaviour: Behaviour, known: dict[str, list[str]]) -> tuple[str, ...]:
    """What the answer varies on, beside the key. A header that the origin does not get cannot have chosen it."""
    key, forward = behaviour.key, behaviour.forward
    names = []
    for name in varies_on(known):
        if key.headers.takes(name) or (name == "accept-encoding" and (key.gzip or key.brotli)):
            continue
        unseen = not forward.headers.takes(name) and (name in ONLY_IF_ASKED or not behaviour.legacy)
        if name == "cookie":
            unseen = forward.cookies.mode == "none" or key.cookies.mode != "none"
        if not unseen:
            names.append(name)
    return tuple(names)


def changed_paths(host: str, path: str, headers: Headers) -> list[str]:
    """The target of a request that changed something, and where its answer says that it did (RFC 9111 s. 4.4)."""
    base = host.lower()
    paths = [path]
    for name in ("location", "content-location"):
        text = headers.get(name)
        if text:
            found = urlsplit(urljoin(f"http://{base}{path}", text))
            if found.netloc.lower() == base:
                paths.append(f"{found.path}?{found.query}" if found.query else found.path)
    return paths


def tags_of(header: str | None, known: dict[str, list[str]]) -> tuple[str, ...]:
    """The cache tags that an origin gives its answer in that header: at most fifty, in any case of letters."""
    texts = known.get(header, []) if header is not None else []
    return tuple({tag.strip().lower(): None for text in texts for tag in text.split(",") if tag.strip()})[:MOST_TAGS]


def by_name(headers: Headers) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers.items():
        found.setdefault(name, []).append(value)
    return found
