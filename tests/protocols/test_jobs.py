"""Executions, rollouts, abort criteria and placeholders of jobs, without IO."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from littoral.protocols.jobs import execution as core
from littoral.protocols.jobs.document import BadPlaceholder, bucket_and_key, objects_in, substitute
from littoral.protocols.jobs.execution import Execution, JobsError, Update
from littoral.protocols.jobs.rollout import Criterion, Pace, Rate, aborts

MINUTES = st.one_of(st.none(), st.integers(1, 60))
STEPS = st.one_of(st.none(), st.just(-1), st.integers(1, 60))


class Life(RuleBasedStateMachine):
    """Whatever is asked in whatever order: the rules of the state diagram hold."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.one = core.queued("j", "t", self.now)
        self.history = [self.one]

    def _try(self, change: Any) -> None:
        before = self.one
        try:
            self.one = change()
        except JobsError as error:
            assert error.code in ("InvalidStateTransition", "VersionMismatch", "ResourceNotFound", "InvalidRequest")
            return
        if self.one is not before:
            self.history.append(self.one)

    @rule(seconds=st.integers(0, 4000))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(minutes=MINUTES, step=STEPS)
    def start(self, minutes: int | None, step: int | None) -> None:
        if self.one.pending:
            self._try(lambda: core.start(self.one, self.now, minutes=minutes, details=None, step=step))

    @rule(
        status=st.sampled_from([*core.STATUSES, "?"]),
        step=STEPS,
        minutes=MINUTES,
        expected=st.one_of(st.none(), st.integers(1, 5)),
        number=st.one_of(st.none(), st.integers(1, 3)),
        details=st.one_of(st.none(), st.just({"a": "b"}), st.just({"": "b"})),
    )
    def update(self, status: str, minutes: int | None, **more: Any) -> None:
        self._try(lambda: core.update(self.one, Update(status, **more), self.now, minutes=minutes))

    @rule(force=st.booleans())
    def cancel(self, force: bool) -> None:
        self._try(lambda: core.cancel(self.one, self.now, force=force))

    @rule()
    def remove(self) -> None:
        self._try(lambda: core.remove(self.one, self.now))

    @rule()
    def time_out(self) -> None:
        due, before = self.one.due, self.one
        self._try(lambda: core.time_out(self.one, self.now))
        assert (self.one.status == core.TIMED_OUT and self.one is not before) == (due is not None and due <= self.now)

    @rule(retries=st.dictionaries(st.sampled_from(["FAILED", "TIMED_OUT", "ALL"]), st.integers(0, 3)))
    def again(self, retries: dict[str, int]) -> None:
        before = self.one
        self._try(lambda: core.again(self.one, retries, self.now))
        if self.one is not before:
            assert before.status in (core.FAILED, core.TIMED_OUT) and self.one.status == core.QUEUED
            assert self.one.retries == before.retries + 1 <= max(retries.values())

    @invariant()
    def holds(self) -> None:
        assert self.one.due is None or self.one.status == core.IN_PROGRESS
        assert Execution.from_json(self.one.to_json()) == self.one
        for before, after in itertools.pairwise(self.history):
            if after.number == before.number:
                assert after.version == before.version + 1 and before.pending
                assert not (before.status == core.IN_PROGRESS and after.status == core.QUEUED)
            else:
                assert (after.number, after.version, after.status) == (before.number + 1, 1, core.QUEUED)


TestLife = Life.TestCase


def test_the_first_timer_that_ends_counts_and_a_step_can_be_stopped() -> None:
    begun = core.start(core.queued("j", "t", 0), 0, minutes=10, details={"at": "1"}, step=5)
    assert begun.due == 300 and core.seconds_left(begun, 100) == 200
    longer = core.update(begun, Update(core.IN_PROGRESS, step=20), 60, minutes=10)
    assert longer.due == 600 and longer.details == {"at": "1"}
    stopped = core.update(longer, Update(core.IN_PROGRESS, step=-1), 60, minutes=10)
    assert stopped.due == 600
    assert core.time_out(stopped, 599) is stopped
    assert core.time_out(stopped, 600).status == core.TIMED_OUT


@pytest.mark.parametrize("details", [{f"k{n}": "v" for n in range(11)}, {"a b": "v"}, {"k": ""}, {"k": 1}, {"k": "\n"}])
def test_status_details_have_bounds(details: Any) -> None:
    with pytest.raises(JobsError) as error:
        core.update(core.queued("j", "t", 0), Update(core.IN_PROGRESS, details), 0, minutes=None)
    assert error.value.code == "InvalidRequest"


@given(
    rate=st.builds(
        Rate,
        most=st.integers(1, 1000),
        base=st.one_of(st.none(), st.integers(1, 1000)),
        factor=st.floats(1.1, 5),
        notified=st.one_of(st.none(), st.integers(1, 100)),
        succeeded=st.integers(1, 100),
    ),
    steps=st.lists(st.integers(0, 59), max_size=30),
)
def test_never_more_than_the_most_in_a_minute(rate: Rate, steps: list[int]) -> None:
    now, told, pace = 0.0, 0, Pace()
    sent: Counter[float] = Counter()
    for step in steps:
        now += step
        pace = pace.at(rate, told, 0, now)
        room = pace.room
        pace = pace.after(room)
        told += room
        sent[pace.minute] += room
    minutes = sorted(sent)
    assert all(count <= rate.most for count in sent.values())
    assert all(later - earlier >= 60 for earlier, later in itertools.pairwise(minutes))


def test_a_rate_grows_with_what_was_notified_or_succeeded() -> None:
    notified = Rate(1000, base=10, factor=2, notified=50)
    assert [notified.per_minute(told, 0) for told in (0, 49, 50, 100, 1_000_000)] == [10, 10, 20, 40, 1000]
    succeeded = Rate(30, base=10, factor=2, succeeded=5)
    assert [succeeded.per_minute(100, done) for done in (0, 5, 10)] == [10, 20, 30]


def test_a_job_is_given_up_at_a_share_of_those_that_ended() -> None:
    criterion = Criterion("FAILED", 50, 4)
    assert not aborts([criterion], {"FAILED": 3, "QUEUED": 10})
    assert aborts([criterion], {"FAILED": 2, "SUCCEEDED": 2})
    assert not aborts([criterion], {"FAILED": 1, "REJECTED": 1, "SUCCEEDED": 2})
    assert aborts([Criterion("ALL", 50, 4)], {"FAILED": 1, "REJECTED": 1, "SUCCEEDED": 2})


def test_placeholders_become_urls() -> None:
    document = '{"a": "${aws:iot:s3-presigned-url:https://s3.us-east-1.amazonaws.com/b/x/y.bin}"}'
    assert objects_in(document) == [("b", "x/y.bin")]
    assert substitute(document, lambda bucket, key: f"U({bucket},{key})") == '{"a": "U(b,x/y.bin)"}'
    assert bucket_and_key("https://my.bucket.s3.eu-west-1.amazonaws.com/a%20b") == ("my.bucket", "a b")
    assert bucket_and_key("http://127.0.0.1:4566/b/k") == ("b", "k")


@pytest.mark.parametrize(
    "url", ["", "s3://b/k", "https://s3.amazonaws.com/b", "https://s3.amazonaws.com/", "http://[x/b/k"]
)
def test_a_placeholder_that_names_no_object_is_refused(url: str) -> None:
    with pytest.raises(BadPlaceholder):
        objects_in("${aws:iot:s3-presigned-url:" + url + "}")
