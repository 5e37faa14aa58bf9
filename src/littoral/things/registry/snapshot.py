"""A whole copy of the registry, carried from a region to the cores below it.

Theory: the copy is small and whole, named by the hash of its content, so that carrying it twice changes nothing and a
copy that broke off half-way is mended by the next. What the snapshot does not hold is removed: the region decides.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from littoral.store.documents import Documents
from littoral.things.registry.attachments import Pairs
from littoral.things.registry.facts import CaCertificate, Certificate, PolicyRecord, Thing, ThingGroup, ThingType
from littoral.things.registry.registry import Registry
from littoral.things.table import Table

Fact = TypeVar("Fact")
Json = dict[str, Any]

# parts that snapshots of older places do not have
LATER = ("authorities", "groups", "members", "group_grants", "exclusive")


class BadSnapshot(ValueError):
    """Not a snapshot of a registry; nothing was changed."""


async def import_snapshot(registry: Registry, snapshot: Mapping[str, Any], applied: Documents) -> bool:
    """Make the registry equal to the snapshot; False when it already is. ``applied`` remembers the revision.

    Raises BadSnapshot before anything is changed.
    """
    revision = snapshot.get("revision")
    if not isinstance(revision, str):
        raise BadSnapshot("A registry snapshot needs a revision")
    last = await applied.get("registry")
    if last is not None and last["revision"] == revision:
        return False
    things = _decoded(snapshot, "things", Thing.from_json, lambda thing: thing.name)
    types = _decoded(snapshot, "types", ThingType.from_json, lambda kind: kind.name)
    certificates = _decoded(snapshot, "certificates", Certificate.from_json, lambda certificate: certificate.id)
    policies = _decoded(snapshot, "policies", PolicyRecord.from_json, lambda policy: policy.name)
    principals, grants = _pairs(snapshot, "principals"), _pairs(snapshot, "grants")
    whole: Mapping[str, Any] = dict.fromkeys(LATER, ()) | dict(snapshot)
    authorities = _decoded(whole, "authorities", CaCertificate.from_json, lambda authority: authority.id)
    groups = _decoded(whole, "groups", ThingGroup.from_json, lambda group: group.name)
    members, group_grants = _pairs(whole, "members"), _pairs(whole, "group_grants")
    exclusive = _pairs(whole, "exclusive")
    async with registry.changing:
        before = {certificate.id for certificate in registry.certificates.values()}
        await _replace(registry.things, things)
        await _replace(registry.types, types)
        await _replace(registry.policies, policies)
        await _replace(registry.authorities, authorities)
        await _replace(registry.certificates, certificates)
        await _replace_pairs(registry.principals, principals)
        await _replace_pairs(registry.grants, grants)
        await _replace(registry.groups, groups)
        await _replace_pairs(registry.members, members)
        await _replace_pairs(registry.group_grants, group_grants)
        await _replace_pairs(registry.exclusive, exclusive)
        await applied.put("registry", {"revision": revision})
    registry.changed(before | certificates.keys())
    return True


def _decoded(
    snapshot: Mapping[str, Any], part: str, decode: Callable[[Json], Fact], key: Callable[[Fact], str]
) -> dict[str, Fact]:
    try:
        facts = [decode(found) for found in snapshot[part]]
        json.dumps(snapshot[part])
    except (KeyError, TypeError, ValueError) as error:
        raise BadSnapshot(f"The part {part!r} of the registry snapshot is not valid: {error!r}") from None
    return {key(fact): fact for fact in facts}


def _pairs(snapshot: Mapping[str, Any], part: str) -> set[tuple[str, str]]:
    try:
        return {(str(holder), str(name)) for holder, name in snapshot[part]}
    except (KeyError, TypeError, ValueError) as error:
        raise BadSnapshot(f"The part {part!r} of the registry snapshot is not valid: {error!r}") from None


async def _replace(table: Table[Fact], wanted: Mapping[str, Fact]) -> None:
    for key in [key for key, _ in table.items() if key not in wanted]:
        await table.delete(key)
    for key, fact in wanted.items():
        if table.get(key) != fact:
            await table.put(key, fact)


async def _replace_pairs(pairs: Pairs, wanted: set[tuple[str, str]]) -> None:
    for holder, name in set(pairs.all()) - wanted:
        await pairs.remove(holder, name)
    for holder, name in wanted - set(pairs.all()):
        await pairs.add(holder, name)
