"""Java and .NET as managed runtimes: which programs of this machine run them, and with what arguments.

A Java function runs on the machine's Java under AWS's own client for it, ``aws-lambda-java-runtime-interface-client``.
That is Maven's to give: its jars are taken from the folder that the settings name, else from where Maven puts them. A
.NET function runs on the machine's ``dotnet`` in the form that brings AWS's client with it, the executable assembly.
Both ask the Runtime API, as ``provided`` ones do.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from littoral.functions.names import invalid

JAVAS = {"java17": 17, "java17.al2023": 17, "java21": 21, "java25": 25}
DOTNETS = {"dotnet8": 8, "dotnet10": 10}
CLIENT = "aws-lambda-java-runtime-interface-client"
JARS = (CLIENT, "aws-lambda-java-core", "aws-lambda-java-serialization")
MAIN = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda"
SHARE = 0.85  # of a function's memory that Java's heap may have, as on AWS


@dataclass(frozen=True, slots=True)
class Program:
    path: Path
    major: int  # its version


def client_jars(folder: Path | None) -> list[Path]:
    """AWS's client for Java, empty when it is not here."""
    if folder is not None:
        found = sorted(folder.glob("*.jar"))
    else:
        at = Path.home() / ".m2" / "repository" / "com" / "amazonaws"
        found = [jar for name in JARS for jar in _newest(at / name)]
    return found if any(jar.name.startswith(CLIENT) for jar in found) else []


def _newest(artifact: Path) -> list[Path]:
    versions = [each for each in artifact.glob("*") if each.is_dir() and any(each.glob("*.jar"))]
    if not versions:
        return []
    newest = max(versions, key=lambda each: [int(number) for number in re.findall("[0-9]+", each.name)])
    return sorted(jar for jar in newest.glob("*.jar") if not jar.stem.endswith(("-sources", "-javadoc")))


def found(program: str, version_text: str | None) -> Program | None:
    """A program on PATH with the version that it says; ``version_text`` is its answer to being asked."""
    path = shutil.which(program)
    match = re.search(r"([0-9]+)\.[0-9]+", version_text or "") or re.search(r"\b([0-9]+)\b", version_text or "")
    return Program(Path(path).resolve(), int(match[1])) if path and match else None


def check_java(runtime: str, java: Program | None, jars: list[Path]) -> Program:
    """Raises InvalidParameterValueException with the reason why this runtime is not served here."""
    if java is None or java.major < JAVAS[runtime]:
        has = "no java on PATH" if java is None else f"the java on PATH is {java.major}"
        raise invalid(f"The runtime {runtime} is not served here: {has}")
    if not jars:
        raise invalid(
            f"The runtime {runtime} is not served here: there are no jars of AWS's client for Java ({CLIENT}); have "
            "Maven fetch it, or name a folder with its jars by --java-runtime"
        )
    return java


def check_dotnet(runtime: str, dotnet: Program | None, handler: str | None) -> Program:
    """Raises InvalidParameterValueException with the reason why this runtime is not served here."""
    if dotnet is None or dotnet.major < DOTNETS[runtime]:
        has = "no dotnet on PATH" if dotnet is None else f"the dotnet on PATH is {dotnet.major}"
        own = "a self-contained bootstrap runs as provided.al2023"
        raise invalid(f"The runtime {runtime} is not served here: {has} ({own})")
    if handler is not None and "::" in handler:
        raise invalid(
            f"{runtime} is served here for executable assemblies: Handler is the assembly's name, not {handler[:100]}"
        )
    return dotnet


def java_arguments(jars: list[str], task: str, opt: str, handler: str, memory: int) -> list[str]:
    """``memory`` in MiB. The order of the class path is AWS's: runtime, function, its libraries, layers."""
    path = ":".join([*jars, task, f"{task}/lib/*", f"{opt}/java/lib/*"])
    heap = [f"-XX:MaxHeapSize={int(memory * 1024 * SHARE)}k", "-XX:+UseSerialGC", "-Xshare:auto"]
    return [*heap, "-XX:+TieredCompilation", "-XX:TieredStopAtLevel=1", "-classpath", path, MAIN, handler]


def dotnet_arguments(task: str, handler: str) -> list[str]:
    return ["exec", f"{task}/{handler.removesuffix('.dll')}.dll"]
