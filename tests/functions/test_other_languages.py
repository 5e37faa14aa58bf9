"""Java and C#: as runtimes of one's own wherever a JDK or Mono is installed, as managed ones where AWS's client is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from littoral.aws.service import ServiceError
from tests.functions.deploy import ROLE, Place, call, place_in, zip_of
from tests.functions.test_provided import archive

HERE = Path(__file__).parent
JAVA = "#!/bin/sh\nexec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp . Bootstrap\n"
MONO = "#!/bin/sh\nexec mono bootstrap.exe\n"


def needs(*programs: str) -> None:
    missing = [each for each in programs if shutil.which(each) is None]
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")


def built(folder: Path, *argv: str) -> dict[str, bytes]:
    """The files that a compiler makes in an empty folder."""
    folder.mkdir()
    subprocess.run(argv, cwd=folder, check=True, timeout=300)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_java_as_a_runtime_of_ones_own(place: Place, tmp_path: Path) -> None:
    needs("java", "javac")
    classes = built(tmp_path / "java", "javac", "-d", ".", str(HERE / "Bootstrap.java"))
    await place.create("f", archive(bootstrap=JAVA, **classes), "provided.al2023", "h", timeout=30, memory_size=256)
    assert (await place.invoke(7)).result == {"java": 7}


async def test_an_assembly_on_mono(place: Place, tmp_path: Path) -> None:
    """.NET Framework's form, which Debian's Mono runs; today's .NET is a self-contained bootstrap or ``dotnet8``."""
    needs("mono", "mcs")
    made = built(tmp_path / "cs", "mcs", "-out:bootstrap.exe", str(HERE / "Bootstrap.cs"))
    await place.create("f", archive(bootstrap=MONO, **made), "provided.al2023", "h", timeout=30, memory_size=256)
    assert (await place.invoke(7)).result == {"csharp": 7}
