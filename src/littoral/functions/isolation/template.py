"""The root that all instances of one keeper share: the system's programs and libraries, read-only, and nothing else.

Owns: what is seen in there and where. Paths are AWS Lambda's: ``/var/task`` (code), ``/opt`` (layers), ``/var/lang``
(the language), ``/var/runtime`` (what a runtime brings). ``/.code`` holds all unpacked code for as long as an
instance has not put on its own; ``cell`` covers it up.

Runs once, in a mount namespace of its own, as root or as root of a user namespace. Sources that are not there are
left out: what is needed and missing shows when the interpreter starts.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from . import kernel

CODE = "/.code"
GROUPS = "/.cgroup"
SOCKETS, NUCLEUS = "/.nucleus", "/greengrass"  # a core's sockets, and where its components see them: nobody else does
HIDDEN = (CODE, GROUPS, SOCKETS)  # from instances, beneath EMPTY
EMPTY = "/.empty"
TASK, OPT, TMP = "/var/task", "/opt", "/tmp"  # noqa: S108 - the instance's own
JOB = "/opt/ml"  # of a training job, which may write there; SageMaker's own path
UID, GID = 993, 990  # inside; Lambda's own numbers

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
_ETC = (
    *("alternatives", "ca-certificates", "crypto-policies", "gai.conf", "host.conf", "java", "ld.so.cache"),
    *("ld.so.conf", "ld.so.conf.d", "localtime", "mime.types", "mono", "nsswitch.conf", "os-release", "protocols"),
    *("pki/ca-trust", "pki/tls/certs", "pki/tls/cert.pem", "resolv.conf", "services", "ssl/certs", "ssl/openssl.cnf"),
)
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
# where ES modules look, upwards from /var/task: they do not know NODE_PATH; on Lambda, with its own Node.js, they do
LAYER_MODULES, MODULES = "/var/node_modules", "/node_modules"
_ACCOUNTS = {
    "passwd": f"root:x:0:0::/:/bin/sh\nsbx_user:x:{UID}:{GID}::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    "group": f"root:x:0:\nsbx_user:x:{GID}:\nnogroup:x:65534:\n",
    "hostname": "littoral\n",
}


def build(
    base: str,
    binds: Sequence[tuple[str, str]],
    group: str | None = None,
    job: str | None = None,
    hosts: str = "/etc/hosts",
) -> None:
    """Make the root on the empty folder ``base``; ``binds`` are (source outside, target inside), read-only;
    ``group`` is the control group in which the keeper makes its instances'; ``job`` the folder of a training job, which
    has shared memory, too: in its /tmp, where it counts; ``hosts`` what is seen as /etc/hosts."""
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("littoral", base, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=1m,nr_inodes=4k")
    for folder in (*HIDDEN, NUCLEUS, EMPTY, TASK, OPT, TMP, LAYER_MODULES, "/proc", "/dev", "/etc"):
        os.makedirs(base + folder, 0o755)  # noqa: PTH103 - no pathlib where every import is paid for
    for path in _SYSTEM:
        if os.path.islink(path):  # noqa: PTH114
            os.symlink(os.readlink(path), base + path)  # noqa: PTH115, PTH211
        else:
            _show(path, base + path)
    for name in [*_ETC, *_java()]:
        _show(os.path.realpath(f"/etc/{name}"), f"{base}/etc/{name}")
    _show(os.path.realpath(hosts), f"{base}/etc/hosts")
    for name, text in _ACCOUNTS.items():
        with open(f"{base}/etc/{name}", "w") as file:  # noqa: PTH123
            file.write(text)
    for name in _DEVICES:
        _bind(f"/dev/{name}", f"{base}/dev/{name}")
    for name, target in _LINKS.items():
        os.symlink(target, f"{base}/dev/{name}")  # noqa: PTH211
    os.symlink("/var/runtime/node_modules", base + MODULES)  # noqa: PTH211
    for source, target in binds:
        _show(source, base + target)
    if group is not None:
        _bind(group, base + GROUPS)
    if job is not None:
        _bind(job, base + JOB)
        os.symlink(TMP, f"{base}/dev/shm")  # noqa: PTH211, S108
    _bind("/proc", f"{base}/proc")  # a later one is only granted where a whole one is seen


def enter(base: str) -> None:
    """Make ``base`` the root and let go of everything else."""
    os.chdir(base)
    kernel.pivot_root(".", ".")
    kernel.detach(".")  # the old root, which lies over the new one
    os.chdir("/")
    flags = kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount(None, "/", None, flags)


def _java() -> list[str]:
    """Debian keeps the configuration of each Java outside its folder."""
    return [name for name in os.listdir("/etc") if name.startswith("java-")]  # noqa: PTH208


def _show(source: str, target: str) -> None:
    if os.path.exists(source):  # noqa: PTH110
        _bind(source, target)
        kernel.read_only(target)


def _bind(source: str, target: str) -> None:
    if os.path.isdir(source):  # noqa: PTH112
        os.makedirs(target, 0o755, exist_ok=True)  # noqa: PTH103
    else:
        os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)  # noqa: PTH103, PTH120
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    kernel.mount(source, target, None, kernel.MS_BIND | kernel.MS_REC)
