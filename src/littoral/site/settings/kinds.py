"""Types of settings: how a value of each is read, from text or from TOML, and what is said where it is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

KINDS = ("", "region", "edge", "core", "box")  # of places; "" is a region with an edge location


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of setting: its name in the documentation and how a value is read (``ValueError``: what it must be)."""

    shown: str
    read: Callable[[Any], Any]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("must be text")


def _matching(pattern: str, meaning: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"must be {meaning}")
        return value

    return read


def _port(value: Any) -> int | None:
    if value == "off" or value is False:
        return None
    return _integer(0, 65535, "a port number from 0 (any free one) to 65535, or off")(value)


def _integer(least: int, most: int, meaning: str) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) else value
        if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
            raise ValueError(f"must be {meaning}")
        return number

    return read


def _seconds(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(value, bool) or not 0 <= number < 1e9:
        raise ValueError("must be a number of seconds, 0 or more")
    return number


def _switch(value: Any) -> bool:
    if value in (True, "on", "true"):
        return True
    if value in (False, "off", "false"):
        return False
    raise ValueError("must be on or off")


def _choice(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(word for word in words if word)}")
        return str(value)

    return read


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a path")
    return Path(value).expanduser().absolute()


def _directory(value: Any) -> str:
    parts = urlsplit(_text(value))
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError("must be the https:// URL of an ACME directory")
    return str(value)


def _url(value: Any) -> str:
    try:
        parts = urlsplit(_text(value))
        valid = parts.scheme in ("http", "https", "mqtts") and bool(parts.hostname) and parts.username is None
        valid = valid and (parts.port is None or parts.port > 0) and parts.path in ("", "/")
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("must be a URL such as http://region.example:4566 or mqtts://region.example:8883")
    return str(value).rstrip("/")


def _bucket(value: Any) -> str:
    if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9/_.-]{0,200})?", _text(value)):
        raise ValueError("must be s3://BUCKET or s3://BUCKET/PREFIX")
    return str(value).rstrip("/")


def _replicas(value: Any) -> tuple[tuple[str, str], ...]:
    found = [each.strip().partition("=") for each in _text(value).split(",") if each.strip()]
    if not all(re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name) for name, _, _ in found):
        raise ValueError("must be BUCKET=PROFILE, more of them behind commas")
    return tuple((name, profile) for name, _, profile in found)


TEXT = Kind("text", _text)
NAME = Kind("name", _matching(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", "1-128 letters, digits, - or _"))
MODELS_KEY = Kind("key", _matching(r"[A-Za-z0-9+/]{43}=", "a key as `littoral models show` says it, in base64"))
REGION = Kind("AWS region", _matching(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}", "a region name such as us-east-1"))
ACCOUNT = Kind("AWS account", _matching(r"[0-9]{12}", "twelve digits"))
HOST = Kind("host or IP address", _matching(r"[A-Za-z0-9.:_-]{1,253}", "a host name or IP address"))
PORT = Kind("port or off", _port)
COUNT = Kind("number", _integer(1, 1_000_000, "a number from 1 to 1000000"))
MEBIBYTES = Kind("number", _integer(0, 10**9, "a number up to 1000000000"))
SECONDS = Kind("seconds", _seconds)
SWITCH = Kind("on or off", _switch)
PATH = Kind("path", _path)
URL = Kind("URL", _url)
REPLICAS = Kind("BUCKET=PROFILE, …", _replicas)
BUCKET = Kind("s3://BUCKET/PREFIX", _bucket)
LEVEL = Kind("debug, info, warning or error", _choice("debug", "info", "warning", "error"))
FORMAT = Kind("text or json", _choice("text", "json"))
PROFILE = Kind("aws or mqtt", _choice("aws", "mqtt"))
ERROR_STATUS = Kind("503 or 500", _choice("503", "500"))
DEFAULTS = Kind("closed or classic", _choice("closed", "classic"))
FRONT = Kind("auto, caddy or off", _choice("auto", "caddy", "off"))
DIRECTORY = Kind("URL", _directory)
PLACE = Kind("region, edge, core or box", _choice(*KINDS))
