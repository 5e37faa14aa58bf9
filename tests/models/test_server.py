"""Models in their processes: gathered, confined, evicted; what ends a process harms nobody else."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from littoral.models.serving import process
from littoral.models.serving.answers import Answer, Artifact, Ask, CannotServe
from littoral.models.serving.process import Limits
from littoral.models.serving.server import BASE, Server
from littoral.site.modelroom import confined, unconfined
from tests.models import nets

JSON = "application/json"


def artifact(data: bytes, *, rows: int = 0, wait: float = 0.0) -> Artifact:
    async def read() -> bytes:
        return data

    return Artifact(hashlib.sha256(data).hexdigest(), len(data), read, rows, wait)


def ask(*rows: Sequence[float]) -> Ask:
    return Ask(JSON, json.dumps(rows).encode(), JSON)


def rows_of(answer: Answer) -> list[list[float]]:
    found: list[list[float]] = json.loads(answer.body)
    return found


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    made = Server(unconfined, 2 << 30)
    yield made
    await made.close()


def processes(server: Server) -> list[int]:
    return [each._process._child.pid for each in server._served.values() if each._process is not None]


async def test_many_at_once_get_each_their_own(server: Server) -> None:
    """A thousand, in far fewer runs."""
    model = artifact(nets.linear(), wait=0.01)
    asked = [server.infer(model, ask([number, 0, 0, 0])) for number in range(1000)]
    wrong = server.infer(model, ask([1, 2, 3]))
    answers = await asyncio.gather(*asked, wrong, return_exceptions=True)
    assert [rows_of(each)[0][0] for each in answers[:1000] if isinstance(each, Answer)] == [
        2.0 * number + 1 for number in range(1000)
    ]
    assert isinstance(answers[-1], CannotServe) and answers[-1].kind == "input"
    assert server._served[model.key]._batches < 200


async def test_a_process_that_ends_takes_nothing_with_it(server: Server) -> None:
    model = artifact(nets.linear())
    await server.load(model)
    (pid,) = processes(server)
    os.kill(pid, signal.SIGSTOP)
    asked = [asyncio.ensure_future(server.infer(model, ask([number, 1, 1, 1]))) for number in range(5)]
    while not server._served[model.key]._at_work:
        await asyncio.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    assert [rows_of(each)[0][0] for each in await asyncio.gather(*asked)] == [1.0, 3.0, 5.0, 7.0, 9.0]
    assert processes(server) != [pid]


DEADLY = """
import os, signal, sys
from littoral.models.runtime import session, worker
answer = session.Session.answer
def deadly(self, feeds):
    if (feeds["x"] == 66).any():
        os.kill(os.getpid(), signal.SIGKILL)
    return answer(self, feeds)
session.Session.answer = deadly
worker.main(int(sys.argv[1]))
"""


async def test_what_ends_processes_harms_itself_alone() -> None:
    server = Server(lambda command: [command[0], "-I", "-c", DEADLY, command[-1]], 2 << 30)
    model = artifact(nets.linear(), wait=0.2)
    try:
        asked = [server.infer(model, ask([number, 1, 1, 1])) for number in range(3)]
        answers = await asyncio.gather(*asked, server.infer(model, ask([66] * 4)), return_exceptions=True)
        assert [rows_of(each)[0][0] for each in answers if isinstance(each, Answer)] == [1.0, 3.0, 5.0]
        assert isinstance(answers[3], CannotServe) and answers[3].kind == "model" and "signal 9" in str(answers[3])
    finally:
        await server.close()


async def test_one_that_ended_while_nobody_asked_is_not_missed(server: Server) -> None:
    model = artifact(nets.linear())
    await server.load(model)
    (pid,) = processes(server)
    os.kill(pid, signal.SIGKILL)
    assert rows_of(await server.infer(model, ask([1, 1, 1, 1]))) == [[3.0] * 4]


async def test_what_does_not_answer_in_time_is_ended() -> None:
    server = Server(unconfined, 2 << 30, Limits(2 << 30, seconds=60.0))
    model = artifact(nets.linear())
    try:
        await server.load(model)
        (pid,) = processes(server)
        server._limits = Limits(2 << 30, seconds=0.2)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(CannotServe, match=r"did not answer in 0\.2 seconds"):
            await server.infer(model, ask([1, 1, 1, 1]))
        server._limits = Limits(2 << 30, seconds=60.0)
        assert rows_of(await server.infer(model, ask([1, 1, 1, 1]))) == [[3.0] * 4]
    finally:
        await server.close()


async def test_the_one_asked_for_longest_ago_goes_for_others() -> None:
    server = Server(unconfined, 2 * BASE + 8 * 1024 * 1024)
    first, second, third = (artifact(nets.linear(scale)) for scale in (1.0, 2.0, 3.0))
    try:
        for each in (first, second, third):
            server._shelf.grown = lambda *_: []  # type: ignore[method-assign,assignment] - as large as was thought
            assert len(rows_of(await server.infer(each, ask([1, 1, 1, 1])))) == 1
        assert server.loaded() == sorted([second.sha256, third.sha256])
        assert rows_of(await server.infer(first, ask([1, 1, 1, 1]))) == [[2.0] * 4]
        with pytest.raises(CannotServe, match="are for models"):
            await server.infer(Artifact("x", 1 << 40, first.read), ask([1]))
    finally:
        await server.close()


async def test_a_model_without_memory_says_so() -> None:
    """The limit is its process' own."""
    server = Server(unconfined, 2 << 30, Limits(memory=16 * 1024 * 1024))
    try:
        with pytest.raises(CannotServe) as raised:
            await server.infer(artifact(nets.linear(width=2048)), ask([0.0] * 2048))
        assert raised.value.kind == "model"
    finally:
        await server.close()


async def test_an_answer_that_is_too_large_says_so(server: Server) -> None:
    model = artifact(nets.tiled(17_000_000))
    request = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}
    body = json.dumps({**request, "parameters": {"binary_data_output": True}}).encode()
    with pytest.raises(CannotServe, match="too much"):
        await server.infer(model, Ask("oip", body, about={"model_name": "m", "model_version": "1"}))


async def test_its_process_reads_nothing_and_has_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the model is asked here but Python, in its place."""
    (tmp_path / "secret").write_text("of the place")
    script = f"""
import os, socket, sys
from littoral.models import frames
place = socket.socket(fileno=int(sys.argv[-1]))
def tried(act):
    try:
        act()
        return "done"
    except OSError as problem:
        return type(problem).__name__
facts = [
    tried(lambda: open({str(tmp_path / "secret")!r})),
    tried(lambda: os.listdir("/root")),
    tried(lambda: open("/etc/passwd")),
    tried(lambda: open("/tmp/made-by-a-model", "w")),
    tried(lambda: socket.create_connection(("127.0.0.1", 1), 1)),
    tried(lambda: os.kill({os.getpid()}, 0)),
    tried(lambda: open("/proc/{os.getpid()}/environ").read()),
    str(len(socket.if_nameindex())),
]
print(*facts, file=sys.stderr)
"""
    monkeypatch.setattr(process, "MODULE", "timeit")
    plain = confined([])
    with pytest.raises(CannotServe) as raised:
        await process.ModelProcess.start(lambda command: [*plain, command[0], "-I", "-c", script, command[-1]])
    facts = str(raised.value).rpartition(": ")[2].split()
    assert facts[:4] == ["PermissionError"] * 4
    assert facts[4] in {"OSError", "ConnectionRefusedError"} and facts[5] != "done" and facts[6] != "done"
    assert facts[7] == "1"  # its loopback


async def test_where_models_cannot_be_run_it_is_said() -> None:
    server = Server(lambda _: ["/bin/sh", "-c", "echo No module named onnxruntime >&2; exit 1"], 2 << 30)
    try:
        with pytest.raises(CannotServe, match=r"pip install 'littoral\[models\]'") as raised:
            await server.infer(artifact(nets.linear()), ask([1, 1, 1, 1]))
        assert raised.value.kind == "gone"
    finally:
        await server.close()


async def test_all_models_have_so_many_processors_and_processes_together() -> None:
    limits = Limits(2 << 30, processors=1, most=2)
    server = Server(confined, limits.memory, limits, spare=False)
    try:
        models = [artifact(nets.linear(float(scale))) for scale in (2, 3, 4)]
        for model in models:
            assert rows_of(await server.infer(model, ask([1, 2, 3, 4])))
        assert server.loaded() == sorted(each.sha256 for each in models[1:])
        for pid in processes(server):
            threads = [int(each.name) for each in Path(f"/proc/{pid}/task").iterdir()]
            assert {frozenset(os.sched_getaffinity(thread)) for thread in threads} == {
                frozenset([min(os.sched_getaffinity(0))])
            }
    finally:
        await server.close()
