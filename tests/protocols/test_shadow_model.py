"""Shadows against a model that knows nothing of trees: a section is a map of paths to values and times."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from littoral.protocols import shadow
from littoral.protocols.shadow import NONE, ShadowError, Updated

Path = tuple[str, ...]
HOUR = 3600

NAMES = st.sampled_from(["a", "b", "c"])
LEAVES = st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, "", "x"]) | st.lists(st.integers(0, 1), max_size=2)
CHANGES = st.dictionaries(
    NAMES,
    st.recursive(st.none() | LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=2), max_leaves=6),
    max_size=3,
)


def leaves(value: Any, path: Path = ()) -> dict[Path, Any]:
    """What is no object, and objects that are empty, by their paths."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    return {where: found for name, child in value.items() for where, found in leaves(child, (*path, name)).items()}


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396 section 2, which shadows follow within a section."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def at(value: Any, path: Path) -> Any:
    """None where there is nothing: no attribute is null."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def differs(wanted: Any, found: Any) -> bool:
    if wanted == {}:
        return not isinstance(found, dict)
    return json.dumps(wanted) != json.dumps(found)  # true is not 1


def times_of(metadata: Any, path: Path) -> set[int]:
    """All times under a path: an array has one for each of its elements."""
    found = at(metadata, path)
    return {one["timestamp"] for one in found} if isinstance(found, list) else {found["timestamp"]}


class ShadowMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.shadow = NONE
        self.sections: dict[str, Any] = {}
        self.times: dict[tuple[str, Path], int] = {}
        self.version = 0
        self.there = False
        self.deleted_at = 0
        self.now = 1_000

    @rule(seconds=st.integers(1, 90))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    def _request(self, **members: Any) -> Updated:
        return shadow.update(self.shadow, shadow.parse_update(json.dumps(members).encode()), self.now)

    def _forget_if_long_gone(self) -> None:
        if not self.there and self.now - self.deleted_at > 48 * HOUR:
            self.version = 0

    @rule(
        state=st.none() | st.fixed_dictionaries({}, optional={name: st.none() | CHANGES for name in shadow.SECTIONS}),
        token=st.none() | st.text(max_size=10),
        versioned=st.booleans(),
    )
    def update(self, state: Any, token: str | None, versioned: bool) -> None:
        self._forget_if_long_gone()
        more = {"version": self.version} if versioned else {}
        updated = self._request(state=state, clientToken=token, **more)
        before = dict(self.sections)
        change = dict.fromkeys(shadow.SECTIONS) if state is None else state
        for name, patch in change.items():
            section = None if patch is None else merged(self.sections.get(name, {}), patch)
            self.sections.pop(name, None)
            if section:
                self.sections[name] = section
            for path, value in leaves(patch or {}).items():
                if value not in (None, {}):
                    self.times[name, path] = self.now
        self.version += 1
        self.there = True
        self.shadow = updated.shadow
        self._check_told(updated, before, change, token)

    def _check_told(self, updated: Updated, before: Any, change: Any, token: str | None) -> None:
        told = [updated.accepted, updated.documents, *([updated.delta] if updated.delta else [])]
        for document in told:
            assert document.get("clientToken") == token
            assert document["timestamp"] == self.now
        assert updated.accepted["state"] == change
        assert updated.accepted["version"] == self.version
        assert updated.documents["previous"]["state"] == before
        assert updated.documents["current"]["state"] == self.sections
        assert updated.documents["current"]["version"] == self.version
        assert (updated.delta is not None) == bool(self._delta())
        if updated.delta is not None:
            assert leaves(updated.delta["state"]) == self._delta()

    def _delta(self) -> dict[Path, Any]:
        reported = self.sections.get("reported", {})
        wanted = leaves(self.sections["desired"]) if "desired" in self.sections else {}
        return {path: value for path, value in wanted.items() if differs(value, at(reported, path))}

    @rule(off=st.sampled_from([-2, -1, 1, 7]))
    def update_of_another_version(self, off: int) -> None:
        self._forget_if_long_gone()
        if self.version + off < 0:
            return
        with pytest.raises(ShadowError) as refused:
            self._request(state={"desired": {"a": 1}}, version=self.version + off)
        assert refused.value.code == 409

    @precondition(lambda self: self.there)
    @rule()
    def delete(self) -> None:
        self.shadow, accepted = shadow.delete(self.shadow, "t", self.now)
        assert accepted == {"version": self.version, "timestamp": self.now}
        self.sections, self.times = {}, {}
        self.there, self.deleted_at = False, self.now

    @precondition(lambda self: not self.there)
    @rule(hours=st.sampled_from([47, 49]))
    def let_hours_pass(self, hours: int) -> None:
        self.now += hours * HOUR

    @invariant()
    def what_is_read_is_the_model(self) -> None:
        if not self.there:
            with pytest.raises(ShadowError) as refused:
                shadow.get(self.shadow, "t", self.now)
            assert refused.value.code == 404
            return
        document = shadow.get(self.shadow, "t", self.now)
        delta = document["state"].pop("delta", {})
        assert document["state"] == self.sections
        assert document["version"] == self.version
        assert (leaves(delta) if delta else {}) == self._delta()
        for name, section in self.sections.items():
            for path, value in leaves(section).items():
                if value in ({}, []):
                    continue
                assert times_of(document["metadata"][name], path) == {self.times[name, path]}
                if name == "desired" and path in self._delta():
                    assert at(document["metadata"]["delta"], path) == at(document["metadata"]["desired"], path)


ShadowMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestShadowModel = ShadowMachine.TestCase
