"""The subscription tree agrees with matching each filter by itself, and is empty when all is removed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.mqtt.topics import matches
from littoral.things.broker.tree import Tree

levels = st.sampled_from(["a", "b", "", "$x"])
topics = st.lists(levels, min_size=1, max_size=4).map("/".join).filter(bool)
filters = st.builds(
    lambda parts, rest: "/".join([*parts, *rest]),
    st.lists(levels | st.just("+"), min_size=1, max_size=4),
    st.sampled_from([[], ["#"]]),
).filter(bool) | st.just("#")


@given(st.lists(st.tuples(filters, st.integers(0, 2)), max_size=12, unique=True), topics)
def test_agrees_with_matching_one_by_one(entries: list[tuple[str, int]], topic: str) -> None:
    tree: Tree[int, str] = Tree()
    for filter, key in entries:
        assert tree.add(filter, key, filter)
        assert not tree.add(filter, key, filter)
    assert tree.size == len(entries)
    found = sorted((filter, key) for key, filter in tree.match(topic))
    assert found == sorted(entry for entry in entries if matches(entry[0], topic))
    for filter, key in entries:
        assert tree.get(filter, key) == filter
        assert tree.remove(filter, key)
        assert not tree.remove(filter, key)
    assert tree.size == 0
    assert tree.match(topic) == []
