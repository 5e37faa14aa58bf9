"""What the core says in its own name and its policy denies: it is seldom cut off for it, and all else goes on."""

from __future__ import annotations

import asyncio

import pytest

from littoral.core import denials, patience
from littoral.core.link import TopicDenied
from littoral.core.patience import Patience
from tests.core.programs import create
from tests.core.test_denied_topics import FORBIDDEN, on, policy
from tests.core.world import CORE, CorePlace, RegionPlace, until

REPORT = f"$aws/things/{CORE}/shadow/name/AWSManagedGreengrassV2Deployment/update"


def test_one_that_alone_was_under_way_is_denied_and_tried_after_a_time_that_grows() -> None:
    known = Patience()
    assert known.cut(["a"], only=True, now=0.0) == ["a"]
    assert (known.allows("a", 29.0), known.allows("b", 29.0), known.over(29.0)) == (False, True, False)
    assert (known.allows("a", 30.0), known.over(30.0), known.over(31.0)) == (True, True, False)
    assert known.cut(["a", "b"], only=False, now=31.0) == ["a"]
    assert (known.allows("a", 90.0), known.allows("a", 91.0)) == (False, True)
    assert known.taken("a") and known.allows("a", 92.0) and not known.taken("a")


def test_one_of_several_is_denied_by_the_second_cut_unless_it_was_taken_in_between() -> None:
    known = Patience()
    assert known.cut(["a", "b"], only=False, now=0.0) == []
    known.taken("b")
    assert known.cut(["a", "b"], only=False, now=1.0) == ["a"]
    assert known.allows("b", 2.0)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (denials, patience):
        monkeypatch.setattr(module, "FIRST", 0.2)


async def test_a_denied_report_ends_the_link_twice_at_most_and_the_rest_goes_on(
    region: RegionPlace, place: CorePlace
) -> None:
    """Readings go up, deployments come; once it is allowed the region knows how they ended."""
    await until(lambda: place.core.link.stats.connected)
    await policy(region, REPORT)
    await create(region, "com.example.One")
    connects = place.core.link.stats.connects
    deployment = await region.deploy(com__example__One={"componentVersion": "1.0.0"})
    await until(lambda: [each["state"] for each in place.core.deployments.listed()] == ["RUNNING"])
    for number in range(50):
        await place.core.spool.put("ward/1", b"%d" % number)
        await asyncio.sleep(0)
    await until(lambda: on(region, "ward/1") == list(range(50)))
    assert not len(place.core.spool.set_aside)
    with pytest.raises(TopicDenied):
        await place.core.link.publish(REPORT, b"{}")
    assert place.core.link.stats.connects <= connects + 4
    await policy(region)
    place.core.link._patience._suspects[REPORT].until = 0.0
    assert await region.outcome(deployment) == "SUCCEEDED"


@pytest.mark.usefixtures("hasty")
async def test_what_is_set_aside_is_tried_again_though_nothing_new_comes(region: RegionPlace, place: CorePlace) -> None:
    await until(lambda: place.core.link.stats.connected)
    await policy(region, FORBIDDEN)
    for number in range(3):
        await place.core.spool.put(FORBIDDEN, b"%d" % number)
    await until(lambda: len(place.core.spool.set_aside) == 3)
    await policy(region)
    await until(lambda: sorted(on(region, FORBIDDEN)) == [0, 1, 2])
    await until(lambda: not len(place.core.spool.set_aside))
