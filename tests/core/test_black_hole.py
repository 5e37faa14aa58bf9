"""The path is lost without a word: noticed by silence, and the first try after its return gets through."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from littoral.core.link import Backoff
from tests.core.blackhole import BlackHole
from tests.core.test_core import UP, bridge
from tests.core.world import CorePlace, RegionPlace, until


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_no_gap_between_two_tries_is_longer_than_what_the_promise_of_two_seconds_leaves(
    tries: int, chance: float
) -> None:
    backoff = Backoff()
    assert 0 <= backoff.wait(tries, chance) <= 1.5
    assert 0.75 <= backoff.beside(chance) <= 1.5


async def test_a_black_hole_is_noticed_and_the_first_try_after_it_carries_the_spool(
    region: RegionPlace, tmp_path: Path
) -> None:
    identity = await region.core_identity()
    async with BlackHole(region.device_port) as path:
        place = CorePlace(tmp_path / "core", path.port, identity, region.authority.certificate_pem)
        place.backoff = Backoff()
        await place.start()
        try:
            assert await region.outcome(await region.deploy(**bridge(**UP))) == "SUCCEEDED"
            link = place.core.link
            sent = 0
            for _ in range(2):
                await place.core.link.connected()
                path.accepted.clear()
                path.swallow()
                for _ in range(100):
                    await place.publish("ward/1/aggregate", sent)
                    sent += 1
                await until(lambda: not link.stats.connected)
                assert "nothing was heard" in link.stats.last_problem
                await until(lambda: len(path.accepted) >= 2)  # the second beside the first, which still hangs
                assert not any(path.accepted)
                assert await place.pending() >= 100
                path.restore()
                await until(lambda wanted=sent: len(region.arrived) >= wanted)
                assert path.accepted.count(True) == 1
            assert region.arrived == [("ward/1/aggregate", number) for number in range(sent)]
        finally:
            await place.stop()
