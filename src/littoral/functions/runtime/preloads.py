"""What a keeper imports before it is forked, so that a cold start does not. Standard library only."""

from __future__ import annotations

import contextlib
import importlib

# What most functions import; each is then free at cold start.
COMMON = (
    "asyncio",
    "base64",
    "collections",
    "concurrent.futures",
    "contextlib",
    "copy",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "email.message",
    "enum",
    "fractions",
    "functools",
    "gzip",
    "hashlib",
    "hmac",
    "html",
    "http.client",
    "inspect",
    "io",
    "itertools",
    "logging",
    "logging.config",
    "math",
    "operator",
    "pathlib",
    "pickle",
    "queue",
    "random",
    "re",
    "secrets",
    "shutil",
    "socket",
    "ssl",
    "statistics",
    "string",
    "struct",
    "subprocess",
    "tempfile",
    "textwrap",
    "threading",
    "time",
    "traceback",
    "types",
    "typing",
    "unicodedata",
    "urllib.error",
    "urllib.parse",
    "urllib.request",
    "uuid",
    "xml.etree.ElementTree",
    "zipfile",
    "zlib",
    "zoneinfo",
)
BOTO = ("boto3", "botocore.client", "botocore.endpoint", "botocore.httpsession", "botocore.signers", "s3transfer")


def preload(names: tuple[str, ...] | list[str]) -> None:
    for name in names:
        with contextlib.suppress(ImportError):  # a Python built without it: the function will say so itself
            importlib.import_module(name)
