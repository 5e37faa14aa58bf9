"""The process in which a model works: ``python -m littoral.models.runtime.worker DESCRIPTOR``, the place's socket.

It says that it is ready, gets one model (a descriptor, with the first byte) and then batches of requests, which it
reads, checks, runs and answers; while one runs the next is read, and the one before is told. Nothing of what others
wrote is read anywhere else. It ends with its socket.
"""

from __future__ import annotations

import contextlib
import os
import queue
import resource
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from littoral.models import frames
from littoral.models.registry.refusal import BadModel
from littoral.models.runtime import forms, oip
from littoral.models.runtime.grouping import counts_rows, grouped
from littoral.models.runtime.refusal import BadInput, InferenceError, ModelFailed
from littoral.models.runtime.session import Feeds, Session

OIP = "oip"


@dataclass(slots=True)
class Asked:
    """One request, read and checked."""

    number: int
    said: frames.Head
    feeds: Feeds
    more: Any  # how its answer is to be written

    @property
    def rows(self) -> int:
        return next((array.shape[0] for array in self.feeds.values() if array.ndim), 1)

    @property
    def kind(self) -> tuple[tuple[Any, ...], ...]:
        return tuple((name, array.shape[1:]) for name, array in self.feeds.items())


@dataclass(slots=True)
class Answer:
    head: frames.Head
    parts: Sequence[frames.Bytes] = ()

    @classmethod
    def refused(cls, problem: InferenceError) -> Answer:
        return cls({"error": "input" if isinstance(problem, BadInput) else "model", "message": str(problem)[:1000]})


Batch = list[Asked | Answer]


class Worker:
    def __init__(self, session: Session, said: frames.Head) -> None:
        self._session = session
        self._together = bool(said["rows"]) or counts_rows(session.inputs, session.outputs)
        self._most = int(said["rows"] or said["usual_rows"])

    def read(self, heads: Sequence[frames.Head], bodies: Sequence[memoryview]) -> list[Asked | Answer]:
        """A batch's requests, or the answers of those that cannot be read."""
        found: list[Asked | Answer] = []
        for number, (said, body) in enumerate(zip(heads, bodies, strict=True)):
            try:
                found.append(self._read(number, said, body))
            except (InferenceError, MemoryError) as problem:
                found.append(Answer.refused(_said(problem)))
        return found

    def answers(self, batch: Sequence[Asked | Answer]) -> list[Answer]:
        """One for each request."""
        ran = {each.number: answer for each, answer in self._run([one for one in batch if isinstance(one, Asked)])}
        left = frames.MOST_ANSWERS
        found = []
        for each in batch:
            answer = each if isinstance(each, Answer) else ran[each.number]
            size = sum(map(len, answer.parts))
            if size > left:
                answer = Answer.refused(ModelFailed(f"the answer has {size} bytes, which is too much"))
            else:
                left -= size
            found.append(answer)
        return found

    def _read(self, number: int, said: frames.Head, body: memoryview) -> Asked:
        feeds: Mapping[str, Any]
        more: Any
        if said["form"] == OIP:
            feeds, more = oip.read(body, said.get("header"))
        else:
            feeds, more = forms.read(said["form"], body, self._session.inputs)
        return Asked(number, said, self._session.checked(feeds), more)

    def _run(self, read: Sequence[Asked]) -> list[tuple[Asked, Answer]]:
        if not self._together:
            return [(each, self._alone(each)) for each in read]
        found: list[tuple[Asked, Answer]] = []
        for run in grouped([each.kind for each in read], [each.rows for each in read], self._most):
            members = [read[number] for number in run]
            found += zip(members, self._as_one(members), strict=True)
        return found

    def _alone(self, asked: Asked) -> Answer:
        try:
            return self._written(asked, self._session.answer(asked.feeds))
        except (InferenceError, MemoryError) as problem:
            return Answer.refused(_said(problem))

    def _as_one(self, members: Sequence[Asked]) -> list[Answer]:
        if len(members) == 1:
            return [self._alone(members[0])]
        try:
            feeds = {name: np.concatenate([each.feeds[name] for each in members]) for name in members[0].feeds}
            whole = self._session.answer(feeds)
        except (InferenceError, MemoryError):
            return [self._alone(each) for each in members]  # what one of them causes is that one's alone
        total = sum(each.rows for each in members)
        if any(array.shape[:1] != (total,) for array in whole.values()):
            return [self._alone(each) for each in members]
        answers, at = [], 0
        for each in members:
            mine = {name: array[at : at + each.rows] for name, array in whole.items()}
            at += each.rows
            try:
                answers.append(self._written(each, mine))
            except (InferenceError, MemoryError) as problem:
                answers.append(Answer.refused(_said(problem)))
        return answers

    def _written(self, asked: Asked, answer: Feeds) -> Answer:
        if asked.said["form"] == OIP:
            parts, header = oip.write(answer, asked.more, self._session.outputs, asked.said["about"])
            return Answer({"header": header}, parts)
        return Answer({}, [forms.write(asked.said["accept"], answer, asked.more)])


def _said(problem: InferenceError | MemoryError) -> InferenceError:
    return ModelFailed("the model has no memory left for this") if isinstance(problem, MemoryError) else problem


def main(descriptor: int) -> None:
    with socket.socket(fileno=descriptor) as place:
        place.setblocking(True)
        _say(place, {"ready": True})
        _, descriptors, _, _ = socket.recv_fds(place, 1, 1)
        if not descriptors:
            return
        heard = _hear(place)
        if heard is None:
            return
        said, _ = heard
        _limit(said["memory"], said["processors"])
        try:
            with os.fdopen(descriptors[0], "rb") as file:
                session = Session(
                    file.read(), threads=said["threads"], gpu=said["gpu"], most_rows=said["most_rows"], spin=False
                )
        except (BadModel, InferenceError, MemoryError) as problem:
            _say(place, {"error": "model", "message": str(problem)[:1000] or "there is no memory for the model"})
            return
        _say(place, {"loaded": session.providers})
        worker = Worker(session, said)
        batches: queue.Queue[Batch | None] = queue.Queue(1)
        threading.Thread(target=_listen, args=(place, worker, batches), daemon=True).start()
        said_later: queue.SimpleQueue[list[Answer] | None] = queue.SimpleQueue()
        speaking = threading.Thread(target=_speak, args=(place, said_later), daemon=True)
        speaking.start()
        while (batch := batches.get()) is not None:
            said_later.put(worker.answers(batch))  # no more than the place asks ahead
        said_later.put(None)
        speaking.join()


def _listen(place: socket.socket, worker: Worker, batches: queue.Queue[Batch | None]) -> None:
    """Hears and reads the next batch while one runs; None at the end."""
    try:
        while (heard := _hear(place)) is not None:
            head, bodies = heard
            batches.put(worker.read(head["requests"], bodies))
    finally:
        batches.put(None)


def _speak(place: socket.socket, answers: queue.SimpleQueue[list[Answer] | None]) -> None:
    """Says what was answered while the next batch runs: a large answer waits until the place has read it. Ends at
    None, or where nobody hears any more."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while (batch := answers.get()) is not None:
            parts = [part for each in batch for part in each.parts]
            _say(place, {"answers": [{**each.head, "parts": len(each.parts)} for each in batch]}, parts)


def _limit(memory: int, processors: int) -> None:
    """Of what it allocates (what ONNX Runtime cannot get it says), and where it runs: all models on the same."""
    if processors:
        chosen = sorted(os.sched_getaffinity(0))[:processors]
        for thread in Path("/proc/self/task").iterdir():  # numpy has begun some
            os.sched_setaffinity(int(thread.name), chosen)
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _hear(place: socket.socket) -> tuple[frames.Head, list[memoryview]] | None:
    """None at the end of the socket."""
    prefix = _exactly(place, frames.PREFIX.size)
    if prefix is None:
        return None
    head_size, body_size = frames.lengths(prefix)
    head, body = _exactly(place, head_size), _exactly(place, body_size)
    return None if head is None or body is None else frames.decoded(head, body)


def _exactly(place: socket.socket, size: int) -> bytearray | None:
    data = bytearray(size)
    view, at = memoryview(data), 0
    while at < size:
        count = place.recv_into(view[at:])
        if not count:
            return None
        at += count
    return data


def _say(place: socket.socket, head: frames.Head, parts: Sequence[frames.Bytes] = ()) -> None:
    for part in frames.encoded(head, parts):
        place.sendall(part)


if __name__ == "__main__":
    main(int(sys.argv[1]))
