"""Java and C#: as runtimes of one's own wherever a JDK or Mono is installed, as managed ones where AWS's client is."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from littoral.aws.service import ServiceError
from littoral.functions.managed import JAVAS, Program, check_dotnet, check_java, client_jars, found
from tests.functions.deploy import Place, place_in, zip_of
from tests.functions.test_provided import archive

HERE = Path(__file__).parent
CLIENT = os.environ.get("LITTORAL_JAVA_RUNTIME")
JAVA = "#!/bin/sh\nexec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp . Bootstrap\n"
MONO = "#!/bin/sh\nexec mono bootstrap.exe\n"


def needs(*programs: str) -> None:
    missing = [each for each in programs if shutil.which(each) is None]
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")


def needs_java17(*programs: str) -> None:
    needs("java", "javac", *programs)
    said = subprocess.run(["java", "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    java = found("java", said)
    if java is None or java.major < 17:
        pytest.skip("the java of this machine is older than 17")


def built(folder: Path, *argv: str) -> dict[str, bytes]:
    """The files that a compiler makes in an empty folder."""
    folder.mkdir()
    subprocess.run(argv, cwd=folder, check=True, timeout=300)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_java_as_a_runtime_of_ones_own(place: Place, tmp_path: Path) -> None:
    needs("java", "javac")
    classes = built(tmp_path / "java", "javac", "-d", ".", str(HERE / "java" / "Bootstrap.java"))
    await place.create("f", archive(bootstrap=JAVA, **classes), "provided.al2023", "h", timeout=30, memory_size=256)
    assert (await place.invoke(7)).result == {"java": 7}


async def test_an_assembly_on_mono(place: Place, tmp_path: Path) -> None:
    """.NET Framework's form, which Debian's Mono runs; today's .NET is a self-contained bootstrap or ``dotnet8``."""
    needs("mono", "mcs")
    made = built(tmp_path / "cs", "mcs", "-out:bootstrap.exe", str(HERE / "Bootstrap.cs"))
    await place.create("f", archive(bootstrap=MONO, **made), "provided.al2023", "h", timeout=30, memory_size=256)
    assert (await place.invoke(7)).result == {"csharp": 7}


async def java17(tmp_path: Path, jars: Path) -> None:
    code = built(tmp_path / "code", "javac", "--release", "17", "-d", ".", str(HERE / "java" / "Ward.java"))
    async with place_in(tmp_path / "place", java_runtime=jars) as place:
        await place.create("f", zip_of(**code), "java17", "Ward::handle", timeout=30, memory_size=256)
        for bed in (7, 8):
            answer = await place.invoke({"bed": bed})
            assert (answer.result, answer.error) == (f"bed {bed}", None)


async def test_managed_java_on_a_client_of_ours(tmp_path: Path) -> None:
    """How it is launched; what AWS's client then does is the next test's."""
    needs_java17("jar")
    built(tmp_path / "client", "javac", "-d", ".", str(HERE / "java" / "AWSLambda.java"))
    jars = tmp_path / "jars"
    jar = "aws-lambda-java-runtime-interface-client-0.jar"
    built(jars, "jar", "cf", jar, "-C", str(tmp_path / "client"), ".")
    await java17(tmp_path, jars)


async def test_managed_java_on_the_official_client(tmp_path: Path) -> None:
    needs_java17()
    jars = client_jars(Path(CLIENT) if CLIENT else None)
    if not jars:
        pytest.skip("AWS's client for Java is neither in ~/.m2 nor named by LITTORAL_JAVA_RUNTIME")
    folder = tmp_path / "jars"
    folder.mkdir()
    for each in jars:
        shutil.copy(each, folder)
    await java17(tmp_path, folder)


def test_what_is_not_served_says_why(tmp_path: Path) -> None:
    java = Program(Path("/usr/bin/java"), 17)
    jar = [Path("a.jar")]
    assert check_java("java17", java, jar) is java
    for problem, runtime, program, jars in (
        ("no java on PATH", "java17", None, jar),
        ("the java on PATH is 17", "java21", java, jar),
        ("have Maven fetch it", "java17", java, []),
    ):
        with pytest.raises(ServiceError, match=problem):
            check_java(runtime, program, jars)
    dotnet = Program(Path("/usr/bin/dotnet"), 8)
    assert check_dotnet("dotnet8", dotnet, "Ward") is dotnet
    for problem, runtime, program, handler in (
        ("no dotnet on PATH.*provided.al2023", "dotnet8", None, None),
        ("the dotnet on PATH is 8", "dotnet10", dotnet, None),
        ("executable assemblies", "dotnet8", dotnet, "Ward::Ward.Function::Handle"),
    ):
        with pytest.raises(ServiceError, match=problem):
            check_dotnet(runtime, program, handler)


@pytest.mark.parametrize("text", ["openjdk 17.0.15 2025-04-15\nOpenJDK Runtime", "java 21.0.1 2023", "25 2025-09-16"])
def test_the_version_that_a_java_says(text: str) -> None:
    needs("java")
    java = found("java", text)
    assert java is not None and java.major in JAVAS.values()
    assert found("no such program", text) is None and found("java", None) is None


def test_the_newest_client_that_maven_has_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert client_jars(None) == []
    name = "aws-lambda-java-runtime-interface-client"
    at = tmp_path / ".m2" / "repository" / "com" / "amazonaws" / name
    for version in ("2.9.1", "2.10.0"):
        (at / version).mkdir(parents=True)
        for kind in ("", "-sources"):
            (at / version / f"{name}-{version}{kind}.jar").touch()
    assert [jar.name for jar in client_jars(None)] == [f"{name}-2.10.0.jar"]
    assert client_jars(tmp_path) == []
