"""Which certificate the edge, or the device port, shows for which name: the one that a distribution names, else the
operator's own where there is one, else one of the place's CA.

Owns: where a pair comes from and when it is made or read anew. Knows neither TLS contexts (but for ``Contexts``) nor
distributions: it is asked by name. A pair is looked up at every handshake, so a changed one holds from the next
handshake on and no connection notices.

The operator's folder holds ``NAME.crt`` (chain) and ``NAME.key`` for each name, in PEM; ``*.example.org`` is the pair
``_.example.org``. A pair that cannot be used (half written, key of another certificate) leaves the last good one.
"""

from __future__ import annotations

import logging
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from littoral.net.pki import Authority
from littoral.net.tls import Pair, plain_server_context

log = logging.getLogger("littoral.site")

LIFE = 90  # days that a certificate of the place's CA holds; it is made anew when a third is left
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,252})\Z")


class Certificates:
    """Pairs by name. ``own`` is for connections that name nothing that is served."""

    def __init__(
        self,
        authority: Authority,
        names: list[str],
        folder: Path | None = None,
        named: Callable[[str], Pair | None] = lambda _: None,
    ) -> None:
        self._authority = authority
        self._names = names
        self._folder = folder
        self._named = named  # by the configuration of who has the name
        self._made: dict[str, tuple[float, Pair]] = {}
        self._read: dict[str, tuple[tuple[int, ...], Pair | None]] = {}

    def own(self) -> Pair:
        return self._issued("", self._names)

    def of(self, name: str) -> Pair:
        """The pair to show for a name in lower case."""
        return self.brought(name) or self._issued(name, [name])

    def brought(self, name: str) -> Pair | None:
        """The pair that somebody brought for a name: nobody else is to be asked for one."""
        return self._named(name) or self.operators(name)

    def operators(self, name: str) -> Pair | None:
        """The operator's own pair for a name, by itself or by a wildcard."""
        if self._folder is None or not _NAME.match(name):
            return None
        return self._stored(name) or self._stored("_." + name.partition(".")[2])

    def _issued(self, key: str, names: list[str]) -> Pair:
        now = time.time()
        made = self._made.get(key)
        if made is None or now > made[0]:
            pair = self._authority.issue_server(names, days=LIFE).pair
            made = self._made[key] = now + LIFE * 86400 * 2 / 3, pair
        return made[1]

    def _stored(self, stem: str) -> Pair | None:
        assert self._folder is not None
        files = self._folder / f"{stem}.crt", self._folder / f"{stem}.key"
        known = self._read.get(stem)
        try:
            stats = [file.stat() for file in files]
            state = tuple(number for stat in stats for number in (stat.st_mtime_ns, stat.st_size, stat.st_ino))
            if known is not None and known[0] == state:
                return known[1]
            pair = files[0].read_bytes(), files[1].read_bytes()
            plain_server_context(pair)
        except FileNotFoundError:
            return known[1] if known is not None and files[0].exists() else None
        except (OSError, ssl.SSLError) as problem:
            log.warning("the certificate of %s cannot be used: %s", stem, problem)
            pair = known[1] if known is not None else None  # type: ignore[assignment]
            if isinstance(problem, OSError) and not isinstance(problem, ssl.SSLError):
                return pair
        self._read[stem] = state, pair
        return pair


class Contexts(Mapping[str, ssl.SSLContext]):
    """The SNI table of our own listener: a context for every name that is served, made at its first handshake.

    Viewers' certificates are believed by the authorities of the name's context; whether one is asked for is decided by
    the listener's own before the name is known (OpenSSL), so all are asked while any name wants one."""

    def __init__(
        self,
        certificates: Certificates,
        serves: Callable[[str], bool],
        authorities: Callable[[str], str | None] = lambda _: None,
        alpn: Sequence[str] = (),
    ) -> None:
        self._certificates = certificates
        self._serves = serves
        self._authorities = authorities  # PEM, of the viewers of a name
        self._alpn = list(alpn)
        self._made: dict[str, tuple[Pair, str | None, ssl.SSLContext]] = {}

    def __getitem__(self, name: str) -> ssl.SSLContext:
        if not self._serves(name):
            raise KeyError(name)
        pair = self._certificates.of(name)
        authorities = self._authorities(name)
        made = self._made.get(name)
        if made is None or made[0] is not pair or made[1] != authorities:
            context = plain_server_context(pair)
            if self._alpn:
                context.set_alpn_protocols(self._alpn)
            if authorities is not None:
                context.verify_mode = ssl.CERT_OPTIONAL
                context.load_verify_locations(cadata=authorities)
            made = self._made[name] = pair, authorities, context
        return made[2]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return max(1, len(self._made))  # never "no table"
