"""One CloudFront function in one QuickJS context: code and an event in, an answer, log lines and CPU time out.

Owns: compiling, limits, the dialogue with ``prelude.js``. Knows no HTTP. All of it is synchronous: keys are found in
memory, so a call never waits, and one that does not end is cut by the engine's own clock.

The context is kept, the function's top level is not: its code is compiled once and evaluated anew for each call, so no
variable lives from one viewer to the next. Changes to built-in objects would; a context that failed is thrown away.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import quickjs

CPU_LIMIT = 0.010  # seconds a call may take; 100 of ComputeUtilization
MEMORY = 2 * 1024 * 1024  # bytes beyond what an idle context takes ("Quotas on CloudFront Functions")
STACK = 192 * 1024
MAX_CODE = 10 * 1024
RUNTIMES = ("cloudfront-js-1.0", "cloudfront-js-2.0")
IMPORT = re.compile(
    r"^[ \t]*import[ \t]+(?:(?P<name>[A-Za-z_$][\w$]*)|\*[ \t]+as[ \t]+(?P<all>[A-Za-z_$][\w$]*)|"
    r"\{(?P<some>[^}]*)\})[ \t]+from[ \t]+(?P<quote>['\"])(?P<module>[\w:]+)(?P=quote)[ \t]*;?",
    re.MULTILINE,
)
PRELUDE = files(__package__).joinpath("prelude.js").read_text()

Answer = dict[str, Any]  # {"value": …} or {"error": …}
Lookup = Callable[[str, str, str], Answer]  # id of the store, operation (get, exists, count, meta), key


class DoesNotCompile(ValueError):
    """The code is no function; the message is the engine's."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a call. ``result`` is None where there is an ``error``."""

    result: dict[str, Any] | None
    error: str | None = None
    origin: dict[str, Any] | None = None  # what cf.updateRequestOrigin or selectRequestOriginById asked for
    logs: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def utilisation(self) -> int:
        """Of the allowed time, in percent."""
        return min(100, round(self.seconds / CPU_LIMIT * 100))


class Engine:
    """``stores`` are the ids of the key-value stores that the function is associated with. Raises DoesNotCompile."""

    def __init__(self, code: str, runtime: str, stores: tuple[str, ...] = ()) -> None:
        self._code = _without_imports(code) if runtime == RUNTIMES[1] else code
        self._version = runtime.rpartition("-")[2]
        self._stores = stores
        self._make()

    def _make(self) -> None:
        context = quickjs.Context()
        context.set_max_stack_size(STACK)
        context.set("__made", context.eval(f"({PRELUDE})({json.dumps(self._version)})"))
        parts = [context.eval(f"__made.{name}") for name in ("compile", "run", "take", "tell")]
        context.eval("delete globalThis.__made")
        try:
            parts[0](self._code, context.parse_json(json.dumps(self._stores)))
        except quickjs.JSException as problem:
            raise DoesNotCompile(str(problem).partition("\n")[0]) from problem
        context.set_memory_limit(int(context.memory()["malloc_size"]) + MEMORY)
        context.set_time_limit(CPU_LIMIT)
        self._run, self._take, self._tell = parts[1:]
        self._context = context
        self._broken = False

    def call(self, event: str, now: float, query: str = "", lookup: Lookup | None = None) -> Ran:
        """``event`` is JSON; ``query`` what rawQueryString() says."""
        if self._broken:
            self._make()
        began = time.thread_time()
        try:
            answer = self._answer(event, now, query, lookup, began + CPU_LIMIT)
            said = json.loads(answer) if answer is not None else {}
        except (quickjs.JSException, quickjs.StackOverflow, UnicodeError, RecursionError) as problem:
            self._broken = True
            return Ran(None, _meaning(str(problem)), seconds=time.thread_time() - began)
        seconds = time.thread_time() - began
        if answer is None:
            self._broken = True
            return Ran(None, "The function's promise is never settled", seconds=seconds)
        error = said.get("error")
        if error is not None and (error.startswith("InternalError") or error == "null"):
            self._broken, error = True, _meaning(error)
        return Ran(said.get("result"), error, said.get("origin"), said.get("logs", []), seconds)

    def _answer(self, event: str, now: float, query: str, lookup: Lookup | None, until: float) -> str | None:
        answer: str | None = self._run(event, now * 1000.0, query)
        while answer is None:
            while self._context.execute_pending_job():
                if time.thread_time() > until:
                    raise quickjs.JSException("InternalError: interrupted")
            answer = self._take()
            if answer is None or not answer.startswith("["):
                return answer
            if lookup is None:
                return None
            self._tell(json.dumps([lookup(*each) for each in json.loads(answer)]))
            answer = None
        return answer


def check(code: bytes, runtime: str) -> None:
    """Whether that can be a function at all. Raises DoesNotCompile."""
    try:
        Engine(code.decode(), runtime)
    except UnicodeDecodeError as problem:
        raise DoesNotCompile("the code is not UTF-8") from problem


def _without_imports(code: str) -> str:
    """``import cf from 'cloudfront'`` becomes a require(); the engine has no module of that name to load."""

    def required(found: re.Match[str]) -> str:
        module = f'require("{found["module"]}")'
        if found["some"] is None:
            return f"const {found['name'] or found['all']} = {module};"
        names = re.sub(r"\b([\w$]+)\s+as\s+([\w$]+)", r"\1: \2", found["some"])
        return f"const {{{names}}} = {module};"

    return IMPORT.sub(required, code)


def _meaning(text: str) -> str:
    text = text.partition("\n")[0]
    if "interrupted" in text:
        return f"The function exceeded its allowed execution time of {CPU_LIMIT * 1000:g} ms"
    if "out of memory" in text or text in {"null", ""}:  # without memory for an error the engine throws null
        return "The function exceeded its allowed memory"
    return text
