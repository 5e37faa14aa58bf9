"""What README.md, ARCHITECTURE.md and docs/ name is there: files, headings, commands with their options, modules.

``tests/site/test_docs.py`` types some pages' commands; this reads all of them, also those that no test can type.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from littoral.cli.flags import Parser
from littoral.cli.main import parser
from littoral.drills.main import parser as drill_parser
from littoral.tour.main import parser as tour_parser

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "littoral"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
GUIDES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
PAGES = [*GUIDES, ARCHITECTURE, ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/decisions/*.md"))]
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`]+)`")
INDENTED = re.compile(r"(?:^ {4}\S.*\n)+", re.MULTILINE)
COMMAND = re.compile(r"""(?:^|[\s(`])littoral ((?:[^|&;)"'`#<\n]|'[^'\n]*'|"[^"\n]*")+)""")
FILE = re.compile(r"\b(?:bench|docs|fuzz|src|tests)/[\w/.-]+\.[a-z]+\b")


@cache
def prose(page: Path) -> str:
    return FENCED.sub("", page.read_text())


@cache
def headings(page: Path) -> set[str]:
    """As GitHub makes anchors of them."""
    found = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    shown = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", each).lower() for each in found)
    return {re.sub(r"[^\w\- ]", "", each).replace(" ", "-") for each in shown}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?:", link):
            continue
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not heading or heading in headings(target), link


def commands(page: Path) -> Iterator[str]:
    """What is written as a command there, less ``littoral`` itself."""
    text = prose(page)
    code = [*FENCED.findall(page.read_text()), *INDENTED.findall(text)]
    code += [each.replace("\n", " ") for each in INLINE.findall(text)]
    for each in code:
        yield from COMMAND.findall(each.replace("\\\n", " "))


@cache
def options_of(words: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The options of the command that these words begin with, and the words after its name."""
    at: argparse.ArgumentParser = parser("")
    if words[0] in {"tour", "drill"}:
        at, words = {"tour": tour_parser, "drill": drill_parser}[words[0]](), words[1:]
    while (choices := _subcommands(at)) and words and not words[0].startswith("-"):
        assert words[0] in choices, f"there is no {at.prog} {words[0]}"
        at, words = choices[words[0]], words[1:]
    if isinstance(at, Parser) and at.make_flags is not None:
        at.make_flags(at)
    return frozenset(flag for action in at._actions for flag in action.option_strings), words


def _subcommands(at: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return next((dict(each.choices) for each in at._actions if isinstance(each, argparse._SubParsersAction)), {})


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_every_command_exists_with_its_options(page: Path) -> None:
    for command in commands(page):
        known, rest = options_of(tuple(shlex.split(command)))
        for word in rest:
            flag = word.partition("=")[0]
            assert not flag.startswith("-") or flag in known, f"littoral {command}: there is no {flag}"


@pytest.mark.parametrize("page", [*GUIDES, ARCHITECTURE], ids=lambda page: page.stem)
def test_every_file_and_target_of_make_exists(page: Path) -> None:
    for file in FILE.findall(page.read_text()):
        assert (ROOT / file).exists() or (ROOT / "src" / "littoral" / file).exists(), file
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", page.read_text())) <= targets


def test_every_module_that_the_architecture_names_exists() -> None:
    modules = [path.as_posix() for top in (SOURCE, ROOT / "tests") for path in top.rglob("*")]
    for token in INLINE.findall(prose(ARCHITECTURE)):
        if re.fullmatch(r"[\w/]+(?:/|\.py)", token) and not token.startswith("/"):
            assert any(each.endswith("/" + token.removesuffix("/")) for each in modules), token


def test_every_package_is_named_in_the_architecture() -> None:
    code = INLINE.findall(prose(ARCHITECTURE)) + FENCED.findall(ARCHITECTURE.read_text())
    named = {part for each in code for part in re.findall(r"\w+(?=/)|(?<=/)\w+", each)}
    packages = [path.parent for path in SOURCE.rglob("__init__.py")]
    of_the_sdk = SOURCE / "functions" / "greengrass" / "python"  # its names, where a function looks for them
    assert {each.name for each in packages if of_the_sdk not in each.parents} - named <= {"littoral"}
