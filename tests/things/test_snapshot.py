"""A registry carried to another place admits the same devices there, and what it holds no more is removed."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from littoral.aws.service import Call
from littoral.net.pki import Authority
from littoral.store.documents import Documents
from littoral.store.embedded import EmbeddedStore
from littoral.things.control import Iot
from littoral.things.names import Names
from littoral.things.permissions import Caller, Permissions
from littoral.things.registry import Registry
from littoral.things.registry.snapshot import LATER, BadSnapshot, import_snapshot
from tests.things.test_control import DOCUMENT, iot  # noqa: F401 - the fixture


class Place:
    """A core: a registry of its own, filled by snapshots only."""

    def __init__(self, store: EmbeddedStore) -> None:
        self.records = store.records("things")
        self.registry = Registry(self.records)
        self.permissions = Permissions(self.registry, Names("us-east-1", "000000000000"))
        self.heard: set[str] = set()
        self.registry.on_change(self.heard.update)

    async def take(self, snapshot: dict[str, Any]) -> bool:
        carried = json.loads(json.dumps(snapshot))  # as the link carries it
        return await import_snapshot(self.registry, carried, Documents(self.records, "applied/"))

    def admits(self, certificate: str) -> bool:
        return self.permissions.allows(Caller(certificate, "bed3", "127.0.0.1"), "iot:Publish", "topic", "x")


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Place]:
    store = await EmbeddedStore.open(tmp_path / "core")
    yield Place(store)
    await store.close()


async def provision(iot: Iot, call: Callable[..., Call]) -> str:  # noqa: F811
    made = await iot.create_keys_and_certificate(call(), set_as_active=True)
    await iot.create_thing(call(), thing_name="bed3")
    await iot.attach_thing_principal(call(), thing_name="bed3", principal=made["certificateArn"])
    await iot.create_policy(call(), policy_name="p", policy_document=DOCUMENT)
    await iot.attach_policy(call(), policy_name="p", target=made["certificateArn"])
    return str(made["certificateId"])


async def test_devices_are_admitted_where_the_snapshot_was_carried(
    iot: Iot,  # noqa: F811
    call: Callable[..., Call],
    core: Place,
) -> None:
    certificate = await provision(iot, call)
    snapshot = iot.registry.export()
    assert "PRIVATE KEY" not in json.dumps(snapshot)
    assert not core.admits(certificate)
    assert await core.take(snapshot)
    assert core.admits(certificate)
    assert not await core.take(snapshot)  # the same again changes nothing
    assert core.registry.export() == snapshot

    restarted = Registry(core.records)
    await restarted.load()
    assert restarted.export() == snapshot


async def test_what_the_region_took_away_is_gone_and_told(
    iot: Iot,  # noqa: F811
    call: Callable[..., Call],
    core: Place,
) -> None:
    certificate = await provision(iot, call)
    await core.take(iot.registry.export())
    await iot.update_certificate(call(), certificate_id=certificate, new_status="REVOKED")
    core.heard.clear()
    assert await core.take(iot.registry.export())
    assert not core.admits(certificate) and certificate in core.heard
    arn = Names("us-east-1", "000000000000").arn("cert", certificate)
    await iot.detach_thing_principal(call(), thing_name="bed3", principal=arn)
    await iot.delete_certificate(call(), certificate_id=certificate, force_delete=True)
    assert await core.take(iot.registry.export())
    assert len(core.registry.certificates) == 0 and core.registry.grants.all() == []


@pytest.mark.parametrize("part", ["revision", "things", "certificates", "policies", "principals", "grants"])
@pytest.mark.parametrize("broken", [None, [{"no": "such"}], "text", [["only one"]], 5])
async def test_a_broken_snapshot_changes_nothing(
    iot: Iot,  # noqa: F811
    call: Callable[..., Call],
    core: Place,
    part: str,
    broken: Any,
) -> None:
    if part == "revision" and isinstance(broken, str):
        return  # any text names a revision
    await provision(iot, call)
    before = core.registry.export()
    snapshot = copy.deepcopy(iot.registry.export())
    snapshot[part] = broken
    with pytest.raises(BadSnapshot):
        await core.take(snapshot)
    assert core.registry.export() == before


async def test_a_policy_that_this_place_cannot_enforce_grants_nothing(
    iot: Iot,  # noqa: F811
    call: Callable[..., Call],
    core: Place,
) -> None:
    certificate = await provision(iot, call)
    snapshot = iot.registry.export()
    newer = json.dumps({"Version": "2030-01-01", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}})
    second = {**snapshot["policies"][0], "name": "newer", "versions": [{"id": "1", "document": newer, "created": 0}]}
    snapshot["policies"].append(second)
    snapshot["grants"].append((certificate, "newer"))
    await core.take({**snapshot, "revision": "other"})
    assert not core.admits(certificate)


async def test_groups_policies_and_authorities_are_carried_too(
    iot: Iot,  # noqa: F811
    call: Callable[..., Call],
    core: Place,
    tmp_path: Path,
) -> None:
    made = await iot.create_keys_and_certificate(call(), set_as_active=True)
    await iot.create_thing(call(), thing_name="bed3")
    await iot.attach_thing_principal(call(), thing_name="bed3", principal=made["certificateArn"])
    await iot.create_policy(call(), policy_name="p", policy_document=DOCUMENT)
    await iot.create_thing_group(call(), thing_group_name="ward")
    await iot.attach_policy(call(), policy_name="p", target="arn:aws:iot:us-east-1:000000000000:thinggroup/ward")
    authority = Authority.load_or_create(tmp_path / "maker", "a maker").certificate_pem.decode()
    mode = {"certificate_mode": "SNI_ONLY", "set_as_active": True}
    registered = await iot.register_ca_certificate(call(), ca_certificate=authority, **mode)
    await core.take(iot.registry.export())
    assert not core.admits(made["certificateId"])
    assert core.registry.anchors() == {registered["certificateId"]: authority}
    await iot.add_thing_to_thing_group(call(), thing_group_name="ward", thing_name="bed3")
    await core.take(iot.registry.export())
    assert core.admits(made["certificateId"])
    older = {name: part for name, part in iot.registry.export().items() if name not in LATER}
    assert await core.take({**older, "revision": "of a place that knows no groups"})
    assert not core.admits(made["certificateId"])
