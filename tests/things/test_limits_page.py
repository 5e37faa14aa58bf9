"""The table of limits in docs/things.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from botocore.loaders import Loader

from littoral.protocols import customauth, fleetquery, shadow
from littoral.protocols.iotsql import external
from littoral.protocols.jobs import document, execution, rollout
from littoral.things import asked, versions
from littoral.things.authorizers import authorizers, signatures
from littoral.things.control import (
    groupmembers,
    indexing,
    jobs,
    policyattachments,
    tagging,
    thinggroups,
    things,
    thingtypes,
)
from littoral.things.provisioning import service
from littoral.things.rules import definition, engine, enrichment
from littoral.things.rules.actions import http

PAGE = (Path(__file__).parents[2] / "docs" / "things.md").read_text()
ROWS = {
    cells[0]: cells[2]
    for line in PAGE.splitlines()
    if len(cells := [cell.strip() for cell in line.split("|")[1:-1]]) == 3
}
SHAPES = Loader().load_service_model("iot", "service-2")["shapes"]


def largest(shape: str) -> int:
    """By the model, which the wire checks."""
    return int(SHAPES[shape]["max"])


@pytest.mark.parametrize(
    ("row", "values"),
    [
        ("attributes of a thing with a type, without", (things.MAX_ATTRIBUTES, things.MAX_ATTRIBUTES_WITHOUT_TYPE)),
        ("attribute: name, value", (largest("AttributeName"), largest("AttributeValue"))),
        ("groups that a thing is in directly", (groupmembers.MAX_GROUPS,)),
        ("levels of a hierarchy of groups", (thinggroups.MAX_DEPTH,)),
        ("attributes of a group", (things.MAX_ATTRIBUTES,)),
        ("propagating attributes of a type", (thingtypes.MAX_PROPAGATING,)),
        ("policy document", (largest("PolicyDocument"),)),
        ("versions of a policy, of a provisioning template", (versions.MOST,)),
        ("policies attached to a certificate or a group", (policyattachments.MAX_ATTACHED,)),
        ("tags of a resource", (tagging.MOST,)),
        ("provisioning template", (largest("TemplateBody"),)),
        ("seconds that a provisioning hook has", (asked.TIME,)),
        ("seconds that an authorizer's function has", (asked.TIME,)),
        ("answers of functions awaited at once", (authorizers.MOST,)),
        (
            "policy documents of an answer, characters of each",
            (customauth.MAX_POLICIES, customauth.MAX_POLICY),
        ),
        ("seconds until it is asked again, until the end", (customauth.SECONDS.start, customauth.SECONDS.stop - 1)),
        ("bits of a token signing key", (signatures.FEWEST_BITS,)),
        ("life of an ownership token", (service.TOKEN_LIFE / 3600,)),
        ("state of one shadow", (shadow.MAX_DOCUMENT / 1024,)),
        ("levels of `desired` or `reported`", (shadow.MAX_DEPTH,)),
        ("client token", (shadow.MAX_TOKEN,)),
        ("version of a deleted shadow is kept", (shadow.REMEMBERED / 3600,)),
        ("document", (document.MAX_DOCUMENT / 1024,)),
        ("targets of a job", (jobs.MAX_TARGETS,)),
        ("executions begun in a minute", (rollout.MAX_PER_MINUTE,)),
        ("minutes until an execution times out", (1, execution.MAX_MINUTES)),
        ("retries of an execution", (largest("NumberOfRetries"),)),
        ("status details: entries, name, value", (execution.MAX_DETAILS, 128, 1024)),
        ("life of a presigned URL", (SHAPES["ExpiresInSec"]["min"], largest("ExpiresInSec"))),
        ("actions of a rule", (definition.MAX_ACTIONS,)),
        ("calls of external functions for one message", (external.MAX_CALLS,)),
        ("seconds that `aws_lambda()` has", (enrichment.TIMEOUT,)),
        ("headers of an http action", (http.MAX_HEADERS,)),
        ("actions that wait", (engine.MAX_WAITING, 1, engine.MAX_DIRECT, 0)),
        ("tries of an action that fails for the time being", (engine.MAX_TRIES,)),
        ("query: characters, terms", (fleetquery.MAX_LENGTH, fleetquery.MAX_TERMS)),
        ("things in one answer of SearchIndex", (indexing.MAX_PAGE,)),
    ],
)
def test_a_limit_of_the_page_is_that_of_the_code(row: str, values: tuple[float, ...]) -> None:
    assert [int(number) for number in re.findall(r"\d+", re.sub(r"(?<=\d),(?=\d)", "", ROWS[row]))] == list(values)
