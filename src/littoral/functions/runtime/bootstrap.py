"""The Python runtime of an instance: loads the handler, then answers one event after another.

Owns: what AWS Lambda's Python runtime promises to a handler (event, context, logging, error objects). Knows nothing
of the place but one socket of frames. Standard library only; runs in the forked child of the zygote.

A frame is a 32-bit big-endian length and as many bytes; the first is its kind::

    place → instance  I  request id (36), timeout (double, s), lengths of the next four (u16 each), ARN, client
                         context, X-Ray header, log group ("": as the function's), event
                      Q  the same; it was sent while another event was under way
                      L  (in the mailbox) request id: an event that is too large for it comes on the socket
    instance → place  B  booted: the function's own code comes now
                      R  ready          F  init failed: error JSON
                      RM ready, and the events are read from the mailbox: I, Q or L without its length
                      O  peak memory (u32, KiB), time taken (u32, µs), result JSON
                      E  the same with error JSON
                      X  as E; the instance takes no further event
                      N  the program that was to be the instance cannot be executed: why
"""

from __future__ import annotations

import builtins
import ctypes
import importlib
import importlib.util
import io
import json
import logging
import os
import resource
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import TracebackType
from typing import Any

from .context import LambdaContext

INVOKE = struct.Struct(">36sdHHHH")
ANSWER = struct.Struct(">IcII")
LETTER = 4096  # bytes that a mailbox takes at once
QUEUED = ord("Q")
MARK = b"\x00\x1alittoral "
MAX_RESPONSE = 6 * 1024 * 1024
READ = 65536  # bytes; a buffer of more than 128 KiB is mapped anew for each read, at 15 µs a time
RESPONSE_SLACK = 100  # Lambda allows 6 MB and 100 bytes


class Fault(Exception):
    """A failure with a type that Lambda names itself."""

    def __init__(self, kind: str, message: str, trace: list[str] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.trace = trace or []


# ------------------------------------------------------------------------------------------------ logging


class LogLine(logging.Handler):
    """Root handler with Lambda's line. Milliseconds are not padded: Lambda's are not."""

    request_id = ""
    json: Any = None  # the module ``jsonlog`` when the function asks for that form

    def __init__(self) -> None:
        super().__init__()
        form = logging.Formatter(
            "[%(levelname)s]\t%(asctime)s.%(msecs)dZ\t%(aws_request_id)s\t%(message)s\n", "%Y-%m-%dT%H:%M:%S"
        )
        form.converter = time.gmtime
        self.setFormatter(form)

    def emit(self, record: logging.LogRecord) -> None:
        record.aws_request_id = self.request_id
        try:
            sys.stdout.write(self.format(record))
        except Exception:  # noqa: BLE001 - a closed stdout must not fail the handler; logging's own rule
            self.handleError(record)


class LogFile(io.FileIO):
    """Where ``sys.stdout`` and ``sys.stderr`` end. What an event says that had waited begins with a mark: the place may
    not know yet that the one before has ended."""

    mark = b""  # to be written before the next words

    def write(self, data: Any) -> int:
        if LogFile.mark:
            mark, LogFile.mark = LogFile.mark, b""
            os.write(self.fileno(), mark)
        return super().write(data)


def open_log() -> None:
    """Lines go out as they are finished, so that a killed instance has logged what it printed."""
    for name, fd in (("stdout", 1), ("stderr", 2)):
        end = io.BufferedWriter(LogFile(fd, "w", closefd=False))
        stream = io.TextIOWrapper(end, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        stream.mode = "w"  # type: ignore[misc] # as ``open`` leaves it
        setattr(sys, name, stream)


def flush_log() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # the function closed or replaced it: its log is its own affair
            continue


class Variable:
    """A variable of the environment that is another with each event. glibc's ``setenv`` keeps every value that it was
    ever given (130 bytes an event); ``putenv`` takes ours, in memory that is written again and never freed."""

    SIZE = 1024

    def __init__(self, name: str) -> None:
        self._name = name
        self._key = name.encode()
        libc = ctypes.CDLL(None)
        libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        libc.putenv.argtypes = [ctypes.c_void_p]
        self._put, self._address = libc.putenv, libc.malloc(self.SIZE)
        self._memory = (ctypes.c_char * self.SIZE).from_address(self._address)

    def set(self, text: str) -> None:
        value = text.encode()
        python: Any = getattr(os.environ, "_data", None)  # what Python itself reads
        if not isinstance(python, dict) or len(self._key) + len(value) + 2 > self.SIZE:
            os.environ[self._name] = text
            return
        python[self._key] = value
        self._memory.value = b"%b=%b" % (self._key, value)
        self._put(self._address)


# ------------------------------------------------------------------------------------------------ handler


def load(handler: str) -> Callable[[Any, LambdaContext], Any]:
    """The function that ``module.name`` (or ``folder/module.name``) names. Raises Fault, or what the import raised."""
    module_name, dot, function_name = handler.rpartition(".")
    if not dot:
        raise Fault(
            "Runtime.MalformedHandlerName", f"Bad handler '{handler}': not enough values to unpack (expected 2, got 1)"
        )
    if module_name.split(".", maxsplit=1)[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from error
    except SyntaxError as error:
        where = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", where) from error
    try:
        found: Callable[[Any, LambdaContext], Any] = getattr(module, function_name)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", f"Handler '{function_name}' missing on module '{module_name}'") from None
    return found


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(", ", ": "), default=_plain).encode
_scan: Any = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


def decode(text: str) -> Any:
    """``json.loads``, but for the patterns that it looks for around every value. Raises ValueError."""
    try:
        value, end = _scan(text, 0)
    except StopIteration:  # white space stands before the value
        return json.loads(text)
    return value if end == len(text) else json.loads(text)


def decode_event(frame: memoryview) -> Any:
    """Raises ValueError."""
    return decode(str(frame, "utf-8"))


def encode(result: object) -> bytes:
    try:
        data = _encode(result).encode()
    except (TypeError, ValueError, RecursionError) as error:  # lone surrogates are a ValueError, too
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from None
    if len(data) > MAX_RESPONSE + RESPONSE_SLACK:
        limit = MAX_RESPONSE + RESPONSE_SLACK
        raise Fault(
            "Function.ResponseSizeTooLarge",
            f"Response payload size exceeded maximum allowed payload size ({limit} bytes).",
        )
    return data


def encode_bytes(result: object) -> bytes:
    """Of a function whose payloads are binary."""
    if result is None:
        return b""
    if not isinstance(result, bytes | bytearray | memoryview):
        raise Fault(
            "Runtime.MarshalError", f"A function with binary payloads returns bytes, not {type(result).__name__}"
        )
    data = bytes(result)
    if len(data) > MAX_RESPONSE + RESPONSE_SLACK:
        raise Fault(
            "Function.ResponseSizeTooLarge", f"The response is longer than {MAX_RESPONSE + RESPONSE_SLACK} bytes"
        )
    return data


def describe(error: BaseException, trace: TracebackType | None, request_id: str) -> bytes:
    """The error object, which is also logged."""
    if isinstance(error, Fault):
        kind, lines = error.kind, error.trace
    else:
        kind, lines = type(error).__name__, stack(trace)
    message = str(error)
    text = f"[ERROR] {kind}: {message}\n"
    if lines:
        text += "Traceback (most recent call last):\n" + "".join(lines)
    fault: dict[str, Any] = {"errorMessage": message, "errorType": kind}
    if kind != "Function.ResponseSizeTooLarge":
        fault |= {"requestId": request_id, "stackTrace": lines}
    if LogLine.json is not None:
        text = LogLine.json.fault_line(fault)
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
    except (OSError, ValueError, AttributeError):
        os.write(2, text.encode(errors="backslashreplace")) if _is_open(2) else None
    return json.dumps(fault).encode()


def stack(trace: TracebackType | None) -> list[str]:
    """As AWS's client gives it: without the marks below the lines that Python 3.11 and newer add."""
    frames = traceback.extract_tb(trace)
    return traceback.format_list([(each.filename, each.lineno or 0, each.name, each.line) for each in frames])


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


# ------------------------------------------------------------------------------------------------ the loop


def frames(connection: socket.socket) -> Iterator[memoryview]:
    """Frame after frame until the place closes. One at a time is on its way: the place awaits the answer."""
    while True:
        chunk = connection.recv(READ)
        while 0 < len(chunk) < 4:
            more = connection.recv(READ)
            chunk = chunk + more if more else b""
        if not chunk:
            return
        size = 4 + int.from_bytes(chunk[:4], "big")
        if len(chunk) >= size:
            yield memoryview(chunk)[4:size]
            continue
        whole = bytearray(size)
        whole[: len(chunk)] = chunk
        rest = memoryview(whole)[len(chunk) :]
        while rest:
            count = connection.recv_into(rest)
            if not count:
                return
            rest = rest[count:]
        yield memoryview(whole)[4:]


def letters(mailbox: int, connection: socket.socket) -> Iterator[memoryview]:
    """Event after event out of the mailbox until the place closes it. What does not fit there is announced by an L."""
    large = frames(connection)
    while True:
        letter = os.read(mailbox, LETTER)
        if letter[:1] == b"L":
            yield next(large)
        elif letter:
            yield memoryview(letter)
        else:
            return


def settle(spec: dict[str, Any]) -> None:
    """Environment, folder, path and streams as the function expects them."""
    os.environ.clear()
    os.environ.update(spec["env"])
    time.tzset()
    os.chdir(spec["task_root"])
    sys.path[:0] = [*spec["before"], spec["task_root"], *spec["path"]]
    sys.argv = ["bootstrap", *spec["arguments"]]
    open_log()
    handler = LogLine()
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON":
        from . import jsonlog  # few functions want it

        LogLine.json = jsonlog
        handler.setFormatter(jsonlog.JsonForm())
        logging.getLogger().setLevel(jsonlog.LEVELS.get(os.environ.get("AWS_LAMBDA_LOG_LEVEL", ""), logging.INFO))
    logging.getLogger().addHandler(handler)


def new_trace(request_id: str) -> str:
    """The header of an event that came without one. Of the request's id the first group is of this event alone."""
    first, second, third, middle, last = request_id.split("-")
    root = f"{first}{second}{third}{middle}{last[:4]}"
    return f"Root=1-{int(time.time()):08x}-{root};Parent={first}{last[4:]};Sampled=0"


class Instance:
    def __init__(self, spec: dict[str, Any]) -> None:
        self.function: dict[str, Any] = spec["function"]
        self.handler = load(spec["handler"])
        self._decode: Callable[[memoryview], Any] = bytes if spec["function"]["binary"] else decode_event
        self._encode: Callable[[object], bytes] = encode_bytes if spec["function"]["binary"] else encode
        self._trace = Variable("_X_AMZN_TRACE_ID")
        self._peak = 0  # KiB
        self._peak_known_at = 0.0

    def _answer(self, kind: bytes, payload: bytes, began: float) -> bytes:
        """With the most memory that was resident and the time it took. A burst of the shortest events shares one look
        at memory: what does not last 0.2 ms has not touched much."""
        now = time.monotonic()
        if now - began > 0.0002 or now - self._peak_known_at > 0.01:
            self._peak, self._peak_known_at = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, now
        took = min(int((now - began) * 1e6), 0xFFFFFFFF)
        return ANSWER.pack(9 + len(payload), kind, self._peak, took) + payload

    def invoke(self, frame: memoryview) -> bytes:
        """One event in, one frame out. SystemExit and KeyboardInterrupt end the process, as in Lambda."""
        raw_id, timeout, arn_size, context_size, trace_size, group_size = INVOKE.unpack_from(frame, 1)
        at = 1 + INVOKE.size
        began = time.monotonic()
        request_id = LogLine.request_id = raw_id.decode()
        LogFile.mark = MARK + raw_id if frame[0] == QUEUED else b""
        try:
            arn = str(frame[at : at + arn_size], "utf-8")
            at += arn_size
            context = bytes(frame[at : at + context_size])
            at += context_size
            self._trace.set(str(frame[at : at + trace_size], "utf-8") or new_trace(request_id))
            at += trace_size
            group = str(frame[at : at + group_size], "utf-8") if group_size else ""
            event = self._decode(frame[at + group_size :])
            about = LambdaContext(self.function, request_id, arn, context, group, began + timeout)
            return self._answer(b"O", self._encode(self.handler(event, about)), began)
        except Exception as error:  # noqa: BLE001 - whatever the handler raises is its result
            trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
            if isinstance(error, MemoryError):  # what is left would fail the next event: this instance is the last's
                traceback.clear_frames(trace)
                return self._answer(b"X", describe(error, trace, request_id), began)
            return self._answer(b"E", describe(error, trace, request_id), began)


def serve(connection: socket.socket, spec: dict[str, Any], mailbox: int | None = None) -> int:
    """Run until the place closes the socket; return the exit status."""
    pid = os.getpid()
    try:
        settle(spec)
        connection.sendall(struct.pack(">Ic", 1, b"B"))
        try:
            instance = Instance(spec)
        except Exception as error:  # noqa: BLE001 - reported as the init error
            payload = describe(error, _beyond_import(error.__traceback__), "")
            flush_log()
            connection.sendall(struct.pack(">Ic", 1 + len(payload), b"F") + payload)
            return 1
        flush_log()
        ready = b"R" if mailbox is None else b"RM"
        connection.sendall(struct.pack(">I", len(ready)) + ready)
        for frame in frames(connection) if mailbox is None else letters(mailbox, connection):
            reply = instance.invoke(frame)
            if os.getpid() != pid:
                return 0  # a child that the handler forked came back: the answer is its parent's
            flush_log()
            connection.sendall(reply)
            if reply[4:5] == b"X":
                return 1
    except SystemExit as leaving:
        flush_log()
        return _status(leaving)
    except OSError:  # the place is gone
        return 0
    return 0


def _status(leaving: SystemExit) -> int:
    if leaving.code is None:
        return 0
    if isinstance(leaving.code, int):
        return leaving.code & 0xFF
    builtins.print(leaving.code, file=sys.stderr, flush=True)
    return 1


def _beyond_import(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that is the function's: frames of ours and of importlib left out."""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name != __file__ and "importlib" not in name:
            return trace
        trace = trace.tb_next
    return None
