"""Landlock: reading anywhere in the instance's root, writing only where it is its own; no way out by signals or
abstract sockets (kernel documentation: userspace-api/landlock).

A second fence behind the mounts, and the only one against abstract Unix sockets, which belong to the network.
"""

from __future__ import annotations

import os
import stat
import struct

from . import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
READING = EXECUTE | READ_FILE | READ_DIR
SCOPES = 3  # abstract Unix sockets, signals
CREATE_RULESET_VERSION = 1
RULE_PATH_BENEATH = 1
_ALL = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}  # rights on files by ABI
_SCOPED_FROM = 6


def abi() -> int:
    """The version that this kernel speaks; 0 for none."""
    try:
        return kernel.call("landlock_create_ruleset", None, 0, CREATE_RULESET_VERSION)
    except OSError:
        return 0


def scopes(version: int) -> bool:
    """Whether abstract sockets and signals are fenced in (Linux 6.12)."""
    return version >= _SCOPED_FROM


def rights(version: int) -> int:
    return _ALL.get(version, (1 << 16) - 1)


def restrict(version: int, writable: tuple[str, ...]) -> None:
    """Fence in this thread and its children for good: they read everything and write there. Needs no_new_privileges.
    Raises OSError."""
    devices = READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | IOCTL_DEV
    fence(version, [("/", READING), ("/dev", devices), *((folder, rights(version)) for folder in writable)])


def fence(version: int, rules: Iterable[tuple[str, int]]) -> None:
    """The same by what is allowed beneath each path; of a file only what there is of files."""
    handled = rights(version)
    attributes = struct.pack("QQQ", handled, 0, SCOPES if scopes(version) else 0)
    size = 24 if scopes(version) else 8
    ruleset = kernel.call("landlock_create_ruleset", attributes[:size], size, 0)
    try:
        for path, allowed in rules:
            _allow(ruleset, path, allowed & handled)
        kernel.call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, allowed: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:  # gone since it was seen: nothing that could be allowed
        return
    try:
        if not stat.S_ISDIR(os.fstat(parent).st_mode):
            allowed &= OF_FILES
        kernel.call("landlock_add_rule", ruleset, RULE_PATH_BENEATH, struct.pack("=Qi", allowed, parent), 0)
    finally:
        os.close(parent)
