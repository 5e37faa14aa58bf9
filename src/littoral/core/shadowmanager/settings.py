"""The configuration of aws.greengrass.ShadowManager. Pure. Source: "Shadow manager" in the AWS IoT Greengrass V2 guide.

``conflictRule`` is ours: beside ``classic`` and ``namedShadows`` of a thing it says who wins there, ``aws`` (the
default), ``cloud`` or ``device``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from littoral.core.recipe import BadComponent
from littoral.protocols.shadowsync import DIRECTIONS, RULES, Direction, Rule

NAME: Final = "aws.greengrass.ShadowManager"
Key = tuple[str, str]
"""A thing, and the name of its shadow; "" is the classic one."""

LARGEST: Final = 30720  # bytes of a document, at most
_KNOWN: Final = frozenset(("strategy", "synchronize", "rateLimits", "shadowDocumentSizeLimitBytes"))
_SYNCHRONIZE: Final = frozenset(("coreThing", "shadowDocuments", "shadowDocumentsMap", "direction"))
_THING: Final = frozenset(("thingName", "classic", "namedShadows", "conflictRule"))
_RATES: Final = {
    "maxOutboundSyncUpdatesPerSecond": 100,
    "maxTotalLocalRequestsRate": 200,
    "maxLocalRequestsPerSecondPerThing": 20,
}


@dataclass(frozen=True, slots=True)
class Settings:
    shadows: Mapping[Key, Rule] = field(default_factory=dict)
    direction: Direction = "betweenDeviceAndCloud"
    delay: float | None = None  # seconds between looks; None: at once
    outbound: int = 100  # writes above a second
    local: int = 200  # requests of components a second
    local_of_thing: int = 20
    limit: int = 8192  # bytes of a local shadow's state


def settings_of(configuration: Mapping[str, Any], core: str = "") -> Settings:
    """``core`` is the thing that ``coreThing`` stands for. Raises BadComponent."""
    _only(configuration, _KNOWN, "the configuration")
    synchronize = _object(configuration, "synchronize")
    _only(synchronize, _SYNCHRONIZE, "synchronize")
    direction = synchronize.get("direction", "betweenDeviceAndCloud")
    if direction not in DIRECTIONS:
        raise _bad(f"direction must be one of {', '.join(DIRECTIONS)}")
    rates = _object(configuration, "rateLimits")
    _only(rates, frozenset(_RATES), "rateLimits")
    outbound, local, of_thing = (_number(rates.get(name, default), name) for name, default in _RATES.items())
    limit = _number(configuration.get("shadowDocumentSizeLimitBytes", 8192), "shadowDocumentSizeLimitBytes")
    if limit > LARGEST:
        raise _bad(f"shadowDocumentSizeLimitBytes is at most {LARGEST}")
    return Settings(_shadows(synchronize, core), direction, _delay(configuration), outbound, local, of_thing, limit)


def _shadows(synchronize: Mapping[str, Any], core: str) -> dict[Key, Rule]:
    found: dict[Key, Rule] = {}
    if "coreThing" in synchronize:
        found |= _of_thing(core, _object(synchronize, "coreThing"))
    for thing, entry in _object(synchronize, "shadowDocumentsMap").items():
        found |= _of_thing(thing, entry)
    listed = synchronize.get("shadowDocuments", [])
    if not isinstance(listed, list):
        raise _bad("shadowDocuments must be a list")
    for entry in listed:
        named = entry.get("thingName") if isinstance(entry, dict) else None
        if not isinstance(named, str) or not named:
            raise _bad("each of shadowDocuments has a thingName")
        found |= _of_thing(named, entry)
    return found


def _of_thing(thing: str, entry: Any) -> dict[Key, Rule]:
    if not isinstance(entry, dict):
        raise _bad(f"what is said of {thing} must be an object")
    _only(entry, _THING, thing or "coreThing")
    classic, names, rule = entry.get("classic", True), entry.get("namedShadows", []), entry.get("conflictRule", "aws")
    if not isinstance(classic, bool):
        raise _bad(f"classic of {thing} must be true or false")
    if not isinstance(names, list) or not all(isinstance(each, str) and each for each in names):
        raise _bad(f"namedShadows of {thing} must be a list of names")
    if rule not in RULES:
        raise _bad(f"conflictRule of {thing} must be one of {', '.join(RULES)}")
    return {(thing, name): rule for name in ([""] if classic else []) + names}


def _delay(configuration: Mapping[str, Any]) -> float | None:
    strategy = _object(configuration, "strategy")
    _only(strategy, frozenset(("type", "delay")), "strategy")
    kind = strategy.get("type", "realTime")
    if kind not in ("realTime", "periodic"):
        raise _bad("the strategy's type must be realTime or periodic")
    delay = _number(strategy.get("delay", 300), "delay")
    return float(delay) if kind == "periodic" else None


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = holder.get(name, {})
    if not isinstance(found, Mapping):
        raise _bad(f"{name} must be an object")
    return found


def _number(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _bad(f"{name} must be a whole number of at least 1")
    return value


def _only(holder: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    if unknown := set(holder) - known:
        raise _bad(f"{', '.join(sorted(unknown))} in {where} is not known")


def _bad(message: str) -> BadComponent:
    return BadComponent(f"{NAME}: {message}")
