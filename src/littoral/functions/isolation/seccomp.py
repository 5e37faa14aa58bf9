"""The filter of system calls: what a function has no business with is refused with EPERM.

A list of what is denied, not of what is allowed: code that runs on AWS must run here unchanged, and kernels grow calls
that libraries then use. What is denied can undo the other fences (mounts, namespaces), look into other processes, or
is known above all for its holes (bpf, userfaultfd, io_uring, keys).
"""

from __future__ import annotations

import struct

from . import kernel

EPERM, ENOSYS = 1, 38
# name: (x86_64, aarch64); None where the machine has no such call
DENIED: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
# What makes memory that no limit of a process counts; refused where no control group counts it.
UNSEEN: dict[str, tuple[int | None, int | None]] = {"memfd_create": (319, 279), "shmget": (29, 194)}
CLONE = {"x86_64": 56, "aarch64": 220}
CLONE3 = 435
NAMESPACES = 0x7E020000  # CLONE_NEW*: cgroup, uts, ipc, user, pid, net, mount
X32 = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data, little endian
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000


def program(
    machine: str = kernel.MACHINE, audit_arch: int = kernel.AUDIT_ARCH, *, memory_is_counted: bool = True
) -> bytes:
    """BPF instructions for this machine."""
    column = ("x86_64", "aarch64").index(machine)
    numbers = sorted(each for pair in DENIED.values() if (each := pair[column]) is not None)
    lines = [
        _line(_LOAD, _ARCH),
        _line(_EQUAL, audit_arch, 1, 0),
        _line(_RETURN, _KILL_PROCESS),  # the calls of another architecture have other numbers
        _line(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        lines += [_line(_AT_LEAST, X32, 0, 1), _line(_RETURN, _ERRNO | ENOSYS)]
    # Flags of clone3 are behind a pointer: without it, libc falls back to clone, whose flags can be looked at.
    lines += [_line(_EQUAL, CLONE3, 0, 1), _line(_RETURN, _ERRNO | ENOSYS)]
    lines += [
        _line(_EQUAL, CLONE[machine], 0, 4),
        _line(_LOAD, _FIRST_ARGUMENT),
        _line(_ANY_BIT, NAMESPACES, 0, 1),
        _line(_RETURN, _ERRNO | EPERM),
        _line(_RETURN, _ALLOW),
    ]
    for number in numbers:
        lines += [_line(_EQUAL, number, 0, 1), _line(_RETURN, _ERRNO | EPERM)]
    for pair in () if memory_is_counted else UNSEEN.values():
        lines += [_line(_EQUAL, pair[column] or 0, 0, 1), _line(_RETURN, _ERRNO | ENOSYS)]
    lines.append(_line(_RETURN, _ALLOW))
    return b"".join(lines)


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)
