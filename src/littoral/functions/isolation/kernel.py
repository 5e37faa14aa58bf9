"""The system calls that Python does not wrap. Each raises OSError with the name of what failed.

``PyDLL`` keeps the interpreter's lock over a call: a raw ``clone`` returns twice, and the child could not take the
lock back from a thread that does not exist there.
"""

from __future__ import annotations

import ctypes
import os
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
SIGCHLD = 17

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38

SIOCSIFFLAGS = 0x8914
IFF_UP = 1

AT_FDCWD = -100
AT_RECURSIVE = 0x8000
CAPABILITY_VERSION_3 = 0x20080522
_MACHINES = {  # audit architecture, then numbers of calls that have no wrapper in every libc
    "x86_64": (0xC000003E, {"clone": 56, "pivot_root": 155, "capset": 126}),
    "aarch64": (0xC00000B7, {"clone": 220, "pivot_root": 41, "capset": 91}),
}
_EVERYWHERE = {"mount_setattr": 442, "landlock_create_ruleset": 444, "landlock_add_rule": 445}
_EVERYWHERE["landlock_restrict_self"] = 446

MACHINE = os.uname().machine
AUDIT_ARCH, _NUMBERS = _MACHINES.get(MACHINE, (0, {}))
_NUMBERS = {**_NUMBERS, **_EVERYWHERE}

_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = getattr(_libc, "syscall", None)


def call(name: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """A system call by name; its result. Raises OSError."""
    if _syscall is None or name not in _NUMBERS:
        raise OSError(38, f"{name}: not known for {MACHINE}")
    prepared = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    ctypes.set_errno(0)
    return checked(_syscall(ctypes.c_long(_NUMBERS[name]), *prepared), name)


def checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def clone(flags: int) -> int:
    """As ``os.fork``, with namespaces; no hooks run. The caller must be of one thread."""
    return call("clone", flags | SIGCHLD, 0, 0, 0, 0)


def unshare(flags: int) -> None:
    checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2)."""
    raw = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    result = _libc.mount(raw[0], raw[1], raw[2], ctypes.c_ulong(flags), raw[3])
    checked(result, f"mount {kind or source or ''} on {target}")


def read_only(target: str) -> None:
    """The mount at ``target`` and all beneath it: read-only, no set-user-id, no devices."""
    attributes = struct.pack("QQQQ", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, 0, 0)
    call("mount_setattr", AT_FDCWD, os.fsencode(target), AT_RECURSIVE, attributes, len(attributes))


def pivot_root(new: str, old: str) -> None:
    call("pivot_root", os.fsencode(new), os.fsencode(old))


def detach(target: str) -> None:
    checked(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def prctl(option: int, value: int, what: str) -> None:
    result = _libc.prctl(
        ctypes.c_int(option), ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)
    )
    checked(result, what)


def die_with_parent() -> None:
    prctl(PR_SET_PDEATHSIG, 9, "PR_SET_PDEATHSIG")


def no_new_privileges() -> None:
    prctl(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS")


def drop_bounding_set() -> None:
    """No program that is executed later can gain a capability. Needs CAP_SETPCAP."""
    for capability in range(_last_capability() + 1):
        prctl(PR_CAPBSET_DROP, capability, "PR_CAPBSET_DROP")


def drop_capabilities() -> None:
    """Effective, permitted and inheritable, for good."""
    header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
    call("capset", header, bytes(24))


def _last_capability() -> int:
    global _last  # noqa: PLW0603 - read once, before the forks
    if _last < 0:
        with open("/proc/sys/kernel/cap_last_cap") as file:  # noqa: PTH123
            _last = int(file.read())
    return _last


_last = -1


def prepare() -> None:
    """Everything that is looked up lazily, before the forks that share it. Raises OSError."""
    _last_capability()


def map_user(uid: int, gid: int, *, inside: tuple[int, int]) -> None:
    """In a fresh user namespace: be the user and group ``inside`` that outside are ``uid`` and ``gid``."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{inside[0]} {uid} 1"), ("gid_map", f"{inside[1]} {gid} 1")):
        fd = os.open(f"/proc/self/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


def set_hostname(name: str) -> None:
    raw = name.encode()
    checked(_libc.sethostname(raw, ctypes.c_size_t(len(raw))), "sethostname")


def loopback_up() -> None:
    """In a fresh network namespace: 127.0.0.1, which is all that there is."""
    import fcntl
    import socket  # not for who never asks: it is much

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def set_seccomp(program: bytes) -> None:
    """Install a BPF program (8 bytes an instruction) for this thread and its children. Needs no_new_privileges."""
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    result = _libc.prctl(ctypes.c_int(PR_SET_SECCOMP), ctypes.c_ulong(2), header, ctypes.c_ulong(0), ctypes.c_ulong(0))
    checked(result, "seccomp")
