"""Code that misbehaves, in a running place: what the caller is told, and that nothing of it stays behind."""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROLE, Running
from .test_bad_input import calm, code_of  # noqa: F401 - calm is a fixture of every test here
from .test_clients import zipped
from .test_lifecycle import children

PYTHON = {
    "raises": "raise ValueError('broken on purpose')",
    "exits": "import sys; sys.exit(3)",
    "exits hard": "import os; os._exit(7)",
    "kills itself": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "hangs": "import time\n    while True: time.sleep(1)",
    "spins": "while True: pass",
    "recurses": "return handler(event, context)",
    "unserialisable": "return object()",
    "a set": "return {1, 2}",
    "circular": "a = []; a.append(a); return a",
    "too much": "return 'x' * (7 * 1024 * 1024)",
    "surrogate": "raise RuntimeError('\\ud800 in a message')",
    "base exception": "raise BaseException('base')",
    "stack of C": "import ctypes; ctypes.string_at(0)",
    "closes descriptors": "import os; os.closerange(0, 200); return 1",
}
NODE = {
    "raises": "throw new Error('broken on purpose')",
    "throws a text": "throw 'text'",
    "throws null": "throw null",
    "exits": "process.exit(3)",
    "kills itself": "process.kill(process.pid, 'SIGKILL')",
    "hangs": "await new Promise(() => setInterval(() => {}, 1000))",
    "spins": "while (true) {}",
    "recurses": "return exports.handler(event) ",
    "a bigint": "return 1n",
    "circular": "const a = {}; a.a = a; return a",
    "too much": "return 'x'.repeat(7 * 1024 * 1024)",
    "rejects later": "setTimeout(() => { throw new Error('late') }, 10); await new Promise(r => setTimeout(r, 500))",
}
SPARE = 14  # what a place keeps to start instances from: keeper, zygote, 4 cells and 2 of Node.js, two processes each
EXPECTED = {
    "hangs": r"Sandbox.Timedout",
    "spins": r"Sandbox.Timedout",
    "raises": r"ValueError|Error",
    "exits": r"Runtime.ExitError",
    "exits hard": r"Runtime.ExitError",
    "kills itself": r"Runtime.ExitError",
    "unserialisable": r"Runtime.MarshalError",
    "a set": r"Runtime.MarshalError",
    "too much": r"Function.ResponseSizeTooLarge",
}


def source(language: str, body: str) -> dict[str, Any]:
    if language == "python":
        code = f"def handler(event, context):\n    if event.get('good'): return 'good'\n    {body}\n"
        return {"Runtime": "python3.11", "Handler": "m.handler", "Code": {"ZipFile": zipped(m__py=code)}}
    code = f"exports.handler = async (event) => {{ if (event.good) return 'good'; {body} }};\n"
    return {"Runtime": "nodejs20.x", "Handler": "m.handler", "Code": {"ZipFile": zipped(m__js=code)}}


@pytest.fixture(autouse=True)
def none_left(place: Running) -> Iterator[None]:
    """The function of each test is deleted, and then its processes go: only what new ones start from may stay."""
    yield
    functions = place.client("lambda")
    for function in functions.list_functions()["Functions"]:
        functions.delete_function(FunctionName=function["FunctionName"])
    deadline = time.monotonic() + 10
    while len(left := children(place.process._process.pid)) > SPARE and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(left) <= SPARE, [Path(f"/proc/{pid}/cmdline").read_text() for pid in left]


@pytest.mark.parametrize(
    ("language", "name"), [*(("python", name) for name in PYTHON), *(("node", name) for name in NODE)]
)
def test_a_handler_that_misbehaves_is_a_function_error_and_the_next_call_works(
    place: Running, language: str, name: str
) -> None:
    functions = place.client("lambda", read_timeout=30)
    body = (PYTHON if language == "python" else NODE)[name]
    functions.create_function(FunctionName="bad", Role=ROLE, Timeout=1, **source(language, body))
    answer = functions.invoke(FunctionName="bad", Payload=b"{}", LogType="Tail")
    payload = json.loads(answer["Payload"].read())
    if (name, language) != ("closes descriptors", "python") or "FunctionError" in answer:
        assert answer["StatusCode"] == 200
        assert answer["FunctionError"] in {"Unhandled", "Handled"}, payload
        assert re.search(EXPECTED.get(name, "."), payload.get("errorType") or "-"), payload
        assert "errorMessage" in payload
    good = functions.invoke(FunctionName="bad", Payload=b'{"good": true}')
    assert "FunctionError" not in good
    assert good["Payload"].read() == b'"good"'


@pytest.mark.parametrize("language", ["python", "node"])
def test_megabytes_of_output_do_not_hurt(place: Running, language: str) -> None:
    functions = place.client("lambda", read_timeout=30)
    line = "print('x' * 1000)" if language == "python" else "console.log('x'.repeat(1000))"
    loop = f"for _ in range(8000): {line}\n    return 'said'"
    node = f"for (let i = 0; i < 8000; i++) {line}; return 'said'"
    functions.create_function(
        FunctionName="loud", Role=ROLE, Timeout=20, **source(language, loop if language == "python" else node)
    )
    answer = functions.invoke(FunctionName="loud", Payload=b"{}", LogType="Tail")
    assert answer["Payload"].read() == b'"said"'
    assert len(answer["LogResult"]) <= 4 * 4096 / 3 + 8


@cache
def broken_zips() -> dict[str, bytes]:
    good = zipped(m__py="def handler(event, context): return 1")
    with_dots, link, bomb = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(with_dots, "w") as bundle:
        bundle.writestr("../../escaped.py", "x = 1")
    with zipfile.ZipFile(link, "w") as bundle:
        entry = zipfile.ZipInfo("m.py")
        entry.external_attr = 0o120777 << 16
        bundle.writestr(entry, "/etc/passwd")
        bundle.writestr("/absolute.py", "x = 1")
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as bundle:
        for number in range(3):
            bundle.writestr(f"zeros{number}", bytes(100 * 1024 * 1024))
    return {
        "empty": b"",
        "text": b"this is no zip",
        "cut": good[:-30],
        "head only": good[:20],
        "damaged": good.replace(b"def handler", b"xxx xxxxxxx"),
        "outside": with_dots.getvalue(),
        "link": link.getvalue(),
        "bomb": bomb.getvalue(),
    }


@pytest.mark.parametrize("name", ["empty", "text", "cut", "head only", "damaged", "outside", "link", "bomb"])
def test_a_broken_zip_makes_no_function_and_changes_none(place: Running, tmp_path: Path, name: str) -> None:
    functions, data = place.client("lambda"), broken_zips()[name]
    arguments = {"Runtime": "python3.11", "Handler": "m.handler", "Role": ROLE}
    code, status = code_of(lambda: functions.create_function(FunctionName="zip", Code={"ZipFile": data}, **arguments))
    assert (code, status) == ("InvalidParameterValueException", 400)
    assert not functions.list_functions()["Functions"]
    good = zipped(m__py="def handler(event, context): return 'as before'")
    functions.create_function(FunctionName="zip", Code={"ZipFile": good}, **arguments)
    assert code_of(lambda: functions.update_function_code(FunctionName="zip", ZipFile=data))[1] == 400
    assert functions.invoke(FunctionName="zip")["Payload"].read() == b'"as before"'
    assert not list(place.process.folder.parent.rglob("escaped.py"))


@pytest.mark.parametrize(
    ("runtime", "files", "handler", "kind"),
    [
        ("python3.11", {"m__py": "def handler(:"}, "m.handler", "Runtime.UserCodeSyntaxError"),
        ("python3.11", {"m__py": "import nothing_of_this_name"}, "m.handler", "Runtime.ImportModuleError"),
        ("python3.11", {"m__py": "x = 1"}, "m.handler", "Runtime.HandlerNotFound"),
        ("python3.11", {"m__py": "x = 1"}, "other.handler", "Runtime.ImportModuleError"),
        ("python3.11", {"m__py": "x = 1"}, "nodot", "Runtime.MalformedHandlerName"),
        ("python3.11", {"m__py": "import os; os._exit(1)"}, "m.handler", "Runtime.ExitError"),
        ("nodejs20.x", {"m__js": "exports.handler = ("}, "m.handler", "Runtime.UserCodeSyntaxError"),
        ("nodejs20.x", {"m__js": "require('nothing-of-this-name')"}, "m.handler", "Runtime.ImportModuleError"),
        ("nodejs20.x", {"m__js": "exports.x = 1"}, "m.handler", "Runtime.HandlerNotFound"),
        ("nodejs20.x", {"m__js": "process.exit(2)"}, "m.handler", "Runtime.ExitError"),
    ],
)
def test_code_that_does_not_load(place: Running, runtime: str, files: dict[str, str], handler: str, kind: str) -> None:
    functions = place.client("lambda", read_timeout=40)
    functions.create_function(
        FunctionName="init", Role=ROLE, Runtime=runtime, Handler=handler, Code={"ZipFile": zipped(**files)}
    )
    answer = functions.invoke(FunctionName="init")
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read())["errorType"] == kind


def test_payloads_that_are_wrong(place: Running) -> None:
    functions = place.client("lambda")
    functions.create_function(FunctionName="p", Role=ROLE, **source("python", "return event"))
    for payload in (b"{", b"\xff\xfe", b"{'a': 1}"):
        code, status = code_of(lambda given=payload: functions.invoke(FunctionName="p", Payload=given))
        assert (code, status) == ("InvalidRequestContentException", 400), payload
    large = json.dumps("x" * (6 * 1024 * 1024 + 1)).encode()
    code, status = code_of(lambda: functions.invoke(FunctionName="p", Payload=large))
    assert (code, status) == ("RequestTooLargeException", 413)
    assert code_of(lambda: functions.invoke(FunctionName="p", Qualifier="9"))[0] == "ResourceNotFoundException"
    assert code_of(lambda: functions.invoke(FunctionName="p", InvocationType="Sometimes"))[1] == 400
    deep = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    code, status = code_of(lambda: functions.invoke(FunctionName="p", Payload=deep))  # deeper than Python's json goes
    assert (code, status) == ("InvalidRequestContentException", 400)
