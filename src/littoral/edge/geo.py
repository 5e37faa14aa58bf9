"""Where a viewer is, by address: what a MaxMind-format database says, and whether a distribution serves there.

A database is a setting (``geo_database``): one file, or a folder of several that complete one another (a City database
and an ASN database, say). Without one, and for addresses that it does not know, the location is unknown, and unknown
locations are served ("Restrict the geographic distribution of your content").

The package ``maxminddb`` is optional (``pip install littoral[geo]``).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

MAX_REMEMBERED = 16384  # addresses
# ISO 3166-1 alpha-2, and XK as databases have it
COUNTRIES = frozenset(
    (
        "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY "
        "BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK "
        "FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR "
        "IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK "
        "ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM "
        "PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF "
        "TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW XK "
    ).split()
)


class NoDatabase(Exception):
    """The geo database cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What is known of an address; empty where nothing is."""

    country: str = ""  # ISO 3166-1 alpha-2
    country_name: str = ""
    region: str = ""  # first-level subdivision, ISO 3166-2 without the country
    region_name: str = ""
    city: str = ""
    postal_code: str = ""
    time_zone: str = ""
    metro_code: str = ""
    latitude: str = ""
    longitude: str = ""
    asn: str = ""


UNKNOWN = Whereabouts()


class Locator(Protocol):
    def locate(self, address: str) -> Whereabouts: ...


class Nowhere:
    """Without a database nobody is anywhere."""

    def locate(self, address: str) -> Whereabouts:
        return UNKNOWN


class Database:
    """One or more open databases. Blocking, but in memory-mapped files: a few microseconds."""

    def __init__(self, path: Path) -> None:
        """Raises NoDatabase."""
        try:
            import maxminddb
        except ImportError as problem:
            raise NoDatabase("the package maxminddb is not installed (pip install littoral[geo])") from problem
        files = sorted(path.glob("*.mmdb")) if path.is_dir() else [path]
        if not files:
            raise NoDatabase(f"{path} holds no *.mmdb file")
        try:
            self._readers = [maxminddb.open_database(file) for file in files]
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as problem:
            why = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
            raise NoDatabase(f"{path}: {why}") from problem
        self._remembered: dict[str, Whereabouts] = {}

    def locate(self, address: str) -> Whereabouts:
        found = self._remembered.get(address)
        if found is None:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[address] = self._look_up(address)
        return found

    def close(self) -> None:
        for reader in self._readers:
            reader.close()

    def _look_up(self, address: str) -> Whereabouts:
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return UNKNOWN
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        record: dict[str, Any] = {}
        for reader in self._readers:
            if parsed.version == 6 and reader.metadata().ip_version == 4:
                continue
            said = reader.get(parsed)
            if isinstance(said, Mapping):
                record.update(said)
        return whereabouts(record)


def whereabouts(record: Mapping[str, Any]) -> Whereabouts:
    """From the fields of MaxMind's City, Country and ASN databases."""
    country = _part(record, "country") or _part(record, "registered_country")
    subdivisions = record.get("subdivisions")
    region = subdivisions[0] if isinstance(subdivisions, list) and subdivisions else {}
    location = _part(record, "location")
    return Whereabouts(
        country=str(country.get("iso_code", "")),
        country_name=_name(country),
        region=str(region.get("iso_code", "")),
        region_name=_name(region),
        city=_name(_part(record, "city")),
        postal_code=str(_part(record, "postal").get("code", "")),
        time_zone=str(location.get("time_zone", "")),
        metro_code=str(location.get("metro_code", "")),
        latitude=_degrees(location.get("latitude")),
        longitude=_degrees(location.get("longitude")),
        asn=str(record.get("autonomous_system_number", "")),
    )


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = record.get(name)
    return found if isinstance(found, Mapping) else {}


def _name(part: Mapping[str, Any]) -> str:
    names = part.get("names")
    return str(names.get("en", "")) if isinstance(names, Mapping) else ""


def _degrees(value: Any) -> str:
    return f"{value:.5f}" if isinstance(value, (int, float)) else ""


@dataclass(frozen=True, slots=True)
class Restriction:
    """Of a whole distribution."""

    countries: frozenset[str]
    only_these: bool  # a whitelist

    def forbids(self, country: str) -> bool:
        """An unknown location ("") is served."""
        return bool(country) and (country in self.countries) != self.only_these
