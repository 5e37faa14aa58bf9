"""The topic filters of rules: AWS's one departure from MQTT, and agreement with the broker's matcher otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.protocols.mqtt import topics
from littoral.protocols.mqtt.topics import BadTopic
from littoral.things.rules import filters

LEVEL = st.sampled_from(["a", "b", "", "$x"])
TOPIC = st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(bool)
FILTER = st.tuples(st.lists(LEVEL | st.just("+"), min_size=0, max_size=3), st.sampled_from(["a", "+", "#"])).map(
    lambda parts: "/".join([*parts[0], parts[1]])
)


@settings(max_examples=300, deadline=None)
@given(FILTER, TOPIC)
def test_matching_is_mqtts_but_for_the_parent(topic_filter: str, topic: str) -> None:
    parent = topic_filter.endswith("/#") and topic.count("/") < topic_filter.count("/")
    assert filters.matches(topic_filter, topic) is (topics.matches(topic_filter, topic) and not parent)


@pytest.mark.parametrize("bad", ["", "a/#/b", "a#", "+a", "a/b+/c", "\0", "a" * 257, "a/" * 8, "\ud800"])
def test_bad_filters(bad: str) -> None:
    with pytest.raises(BadTopic):
        filters.check(bad)


@pytest.mark.parametrize(
    "good", ["a", "#", "+", "+/a/#", "a/" * 7 + "b", "$aws/things/+/shadow/name/+/update/accepted/#"]
)
def test_good_filters(good: str) -> None:
    filters.check(good)
