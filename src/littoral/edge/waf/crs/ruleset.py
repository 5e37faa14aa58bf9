"""The Core Rule Set from a folder: a checkout, or the Debian package ``modsecurity-crs``.

Owns: which files are read, and the settings (paranoia level, threshold) that stand in for crs-setup.conf. A ``Source``
is plain text with a digest, so that a region can hand it to its edge locations.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from littoral.edge.waf.crs.seclang import Marker, Rule, read

FOLDERS = (Path("/usr/share/modsecurity-crs"), Path("/usr/local/share/modsecurity-crs"))
REQUEST_FILES = "REQUEST-9*.conf"
# Reputation of addresses needs services elsewhere; the application exclusions of 3.x are off unless asked for.
LEFT_OUT = ("REQUEST-910", "REQUEST-903")


class NoRuleSet(Exception):
    """There is no rule set; the message says where it was looked for."""


@dataclass(frozen=True)
class Source:
    """The texts of a rule set: ``.conf`` files of the request side in their order, and data files."""

    files: Mapping[str, str]

    @classmethod
    def open(cls, folder: Path | None = None) -> Source:
        """Raises NoRuleSet."""
        folders = [folder] if folder is not None else list(FOLDERS)
        for each in folders:
            rules = each / "rules" if (each / "rules").is_dir() else each
            names = [*sorted(rules.glob(REQUEST_FILES)), *sorted(rules.glob("*.data"))]
            names = [path for path in names if not path.name.startswith(LEFT_OUT)]
            if names:
                return cls({path.name: path.read_text("utf-8", "replace") for path in names})
        raise NoRuleSet(f"no Core Rule Set at {', '.join(str(each) for each in folders)} (apt: modsecurity-crs)")

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def text(self) -> str:
        return json.dumps(dict(self.files), sort_keys=True)

    @cached_property
    def version(self) -> str:
        """``4.29.0-dev``, as its rules name it."""
        found = re.search(r"ver:'OWASP_CRS/([\w.\-]+)'", "\n".join(self.files.values()))
        return found[1] if found else "unknown"

    def entries(self) -> list[Rule | Marker]:
        """Raises Unreadable."""
        return read({name: text for name, text in self.files.items() if name.endswith(".conf")})

    def data(self) -> dict[str, str]:
        return {name: text for name, text in self.files.items() if name.endswith(".data")}


def settings(level: int, threshold: int = 5) -> dict[str, bytes]:
    """What crs-setup.conf would set, of both generations of the rule set (3.x and 4.x)."""
    return {
        "crs_setup_version": b"9999",
        "blocking_paranoia_level": b"%d" % level,
        "detection_paranoia_level": b"%d" % level,
        "paranoia_level": b"%d" % level,
        "executing_paranoia_level": b"%d" % level,
        "inbound_anomaly_score_threshold": b"%d" % threshold,
    }
