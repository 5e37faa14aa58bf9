"""The line before an instance: whatever the two sides do in whatever order, an event runs at most once, its answer is
its own, and it comes to exactly one end."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from littoral.functions.line import Line


@dataclass(eq=False)
class Event:
    request_id: str


class Lines(RuleBasedStateMachine):
    """A place with a line, an instance, and between them a mailbox and the answers that were not read yet."""

    def __init__(self) -> None:
        super().__init__()
        self.line: Line[Event] = Line()
        self.mailbox: deque[str] = deque()
        self.answers: deque[str] = deque()
        self.runs: str | None = None
        self.began: list[str] = []
        self.ended: list[str] = []  # answered, returned or failed
        self.given = 0

    @rule()
    def submit(self) -> None:
        self.given += 1
        self.line.append(Event(str(self.given)))
        self.mailbox.append(str(self.given))

    @precondition(lambda self: self.runs is None and self.mailbox)
    @rule()
    def take(self) -> None:
        self.runs = self.mailbox.popleft()
        self.began.append(self.runs)

    @precondition(lambda self: self.runs is not None)
    @rule()
    def answer(self) -> None:
        assert self.runs is not None
        self.answers.append(self.runs)
        self.runs = None

    @precondition(lambda self: self.answers)
    @rule()
    def read(self) -> None:
        event = self.line.popleft()
        assert event.request_id == self.answers.popleft()
        self.ended.append(event.request_id)

    @rule(meanwhile=st.lists(st.sampled_from(["take", "answer", ""]), max_size=6))
    def take_back(self, meanwhile: list[str]) -> None:
        """The instance goes on while letters come out."""
        turns = iter(meanwhile)

        def letters() -> Iterator[str]:
            while self.mailbox:
                yield self.mailbox.popleft()
                what = next(turns, "")
                if what == "take" and self.runs is None and self.mailbox:
                    self.take()
                elif what == "answer" and self.runs is not None:
                    self.answer()

        returned, put_back = self.line.take_back(letters(), alive=True)
        self._elsewhere(returned)
        if put_back is not None:
            self.mailbox.append(put_back.request_id)

    @rule()
    def die(self) -> None:
        """What it answered is read; who waited goes elsewhere; at most one is lost."""
        while self.answers:
            self.read()
        while self.mailbox and self.line.current is not None:
            returned, _ = self.line.take_back(iter([self.mailbox.popleft()]), alive=False)
            self._elsewhere(returned)
        lost = []
        while self.line:
            lost.append(self.line.popleft().request_id)
        assert len(lost) <= 1
        self.ended += lost
        self.runs = None

    def _elsewhere(self, returned: list[Event]) -> None:
        for event in returned:
            assert event.request_id not in self.began
            self.ended.append(event.request_id)

    @invariant()
    def nothing_happens_twice(self) -> None:
        assert len(set(self.began)) == len(self.began)
        assert len(set(self.ended)) == len(self.ended)
        assert len(self.ended) + len(self.line) == self.given


TestLines = Lines.TestCase
