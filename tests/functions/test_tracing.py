"""The X-Ray header: each event has one, the caller's where it sent one."""

from __future__ import annotations

import json
import re

import pytest

from littoral.functions.names import trace_of
from tests.functions.deploy import Place, call

SENT = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
SOURCES = {
    "python": "import os\ndef handler(e, c): return os.environ['_X_AMZN_TRACE_ID']",
    "node": "exports.handler = async () => process.env._X_AMZN_TRACE_ID;",
}


@pytest.mark.parametrize("language", SOURCES)
async def test_a_handler_finds_it_in_its_environment(place: Place, language: str) -> None:
    await getattr(place, language)(SOURCES[language])
    seen = [(await place.invoke()).result for _ in range(2)]
    assert len(set(seen)) == 2
    for each in seen:
        assert re.fullmatch("Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", each)
        assert trace_of(each) == each
    asked = call()
    asked.request.headers.set("x-amzn-trace-id", SENT)
    assert json.loads((await place.api.invoke(asked, function_name="f"))["Payload"]) == SENT


@pytest.mark.parametrize("wrong", [None, "", "Root=2", SENT + "\n", SENT + ";a=" + "x" * 200, "Self=1;" + SENT])
def test_what_is_no_trace_is_not_passed_on(wrong: str | None) -> None:
    assert trace_of(wrong) == ""
    assert trace_of(SENT) == SENT
