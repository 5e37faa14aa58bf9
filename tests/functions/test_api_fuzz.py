"""Whatever bytes a runtime sends to its API: the place answers or closes, and serves the next event as before."""

from __future__ import annotations

import asyncio
import base64
import random

import pytest

from tests.functions.deploy import Place
from tests.functions.test_provided import REPLY
from tests.functions.test_provided import python as own_runtime

# Sends what the event says on a connection of its own, and says what came back; then answers as a runtime does.
NOISE = """
import base64, socket
host, port = os.environ['AWS_LAMBDA_RUNTIME_API'].split(':')
made = []
for noise in json.loads(event):
    line = socket.create_connection((host, int(port)))
    line.settimeout(0.05)
    got = b''
    try:
        line.sendall(base64.b64decode(noise).replace(b'{id}', id.encode()))
        line.shutdown(socket.SHUT_WR)
        while piece := line.recv(65536):
            got += piece
    except OSError:
        pass
    made.append(got[:12].decode('latin-1'))
    line.close()
"""
GRAMMAR: dict[str, list[str]] = {
    "request": ["{method} {path} HTTP/{version}\r\n{headers}\r\n{body}", "{junk}", "{method} {path}\r\n\r\n"],
    "method": ["GET", "POST", "PUT", "DELETE", "get", "{junk}"],
    "path": [
        "/2018-06-01/runtime/invocation/next",
        "/2018-06-01/runtime/invocation/{id}/error",
        "/2018-06-01/runtime/invocation/other/response",
        "/2018-06-01/runtime/init/error",
        "/2020-01-01/extension/register",
        "/2020-01-01/extension/event/next",
        "/2020-01-01/extension/exit/error",
        "/2022-07-01/telemetry",
        "/{junk}",
        "//2018-06-01/runtime/invocation/../next",
    ],
    "version": ["1.1", "1.0", "2.0", "{junk}"],
    "headers": ["", "Host: a\r\n", "Host: a\r\n{header}\r\n", "Host: a\r\n{header}\r\n{header}\r\n"],
    "header": [
        "Content-Length: 5",
        "Content-Length: -1",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked",
        "Lambda-Runtime-Function-Response-Mode: streaming",
        "Lambda-Extension-Name: x",
        "Lambda-Extension-Identifier: {junk}",
        "Lambda-Runtime-Function-Error-Type: {junk}",
        "Expect: 100-continue",
        "{junk}",
    ],
    "body": ["", "12345", "5\r\nabcde\r\n0\r\n\r\n", "ffffffffffffffffff\r\n", "{junk}"],
}


def noise(random_: random.Random) -> bytes:
    text = "{request}"
    while True:
        for name, choices in GRAMMAR.items():
            if "{" + name + "}" in text:
                text = text.replace("{" + name + "}", random_.choice(choices), 1)
                break
        else:
            break
    while "{junk}" in text:
        text = text.replace("{junk}", "".join(chr(random_.randrange(256)) for _ in range(random_.randrange(12))), 1)
    return text.encode("latin-1")


@pytest.mark.parametrize("seed", range(4))
async def test_noise(place: Place, seed: int) -> None:
    random_ = random.Random(seed)
    code = own_runtime(NOISE.strip() + "\n" + REPLY)
    await place.create("f", code, "provided.al2023", "h", timeout=60)
    told = [base64.b64encode(noise(random_)).decode() for _ in range(60)]
    # an error for the event under way is a right step, too: then the caller gets that, and the runtime our refusal
    answer = await asyncio.wait_for(place.invoke(told), 60)
    if answer.error is None:
        assert len(answer.result) == 60
        for said in answer.result:
            assert said == "" or said.startswith("HTTP/1.1 ")
            assert not said.startswith("HTTP/1.1 500")
    assert (await place.invoke([])).result == []


def test_the_noise_is_of_many_kinds() -> None:
    random_ = random.Random(0)
    made = {noise(random_) for _ in range(500)}
    assert len(made) > 300
