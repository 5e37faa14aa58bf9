"""Provisioning templates: what is read, what is refused, what becomes of parameters and functions."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.provisioning import CERTIFICATE_ID, Template, TemplateError

CERTIFICATE = {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": CERTIFICATE_ID}}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                (
                    "Parameters Resources Mappings DeviceConfiguration Type Properties Ref Fn::Join Fn::Sub Fn::Select "
                    "ThingName CertificateId OverrideSettings x"
                ).split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


def template(**more: Any) -> str:
    resources = {"certificate": CERTIFICATE, **more.pop("Resources", {})}
    return json.dumps({"Resources": resources, **more})


def configured(function: Any, parameters: dict[str, str] | None = None) -> Any:
    body = template(
        Parameters={name: {"Type": "String"} for name in parameters or {}},
        Mappings={"Table": {"a": {"b": "found"}}},
        DeviceConfiguration={"x": function},
    )
    return Template.parse(body).plan({CERTIFICATE_ID: "c", **(parameters or {})}).configuration["x"]


def test_a_whole_template_becomes_a_plan() -> None:
    body = template(
        Parameters={"Serial": {"Type": "String"}, "Site": {"Type": "String", "Default": "here"}},
        Resources={
            "thing": {
                "Type": "AWS::IoT::Thing",
                "Properties": {
                    "ThingName": {"Fn::Join": ["", ["bed_", {"Ref": "Serial"}]]},
                    "AttributePayload": {"site": {"Ref": "Site"}},
                    "ThingGroups": ["ward", {"Ref": "Site"}],
                },
                "OverrideSettings": {"AttributePayload": "MERGE"},
            },
            "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "bed"}},
        },
    )
    plan = Template.parse(body).plan({CERTIFICATE_ID: "c1", "Serial": "7"})
    assert plan.thing is not None
    assert (plan.thing.name, plan.thing.groups) == ("bed_7", ("ward", "here"))
    assert plan.thing.attributes == {"site": "here"} and plan.thing.overrides == {"AttributePayload": "MERGE"}
    assert (plan.certificate.id, plan.certificate.status, plan.policies[0].name) == ("c1", "ACTIVE", "bed")


@pytest.mark.parametrize(
    ("function", "result"),
    [
        ({"Fn::Join": ["-", ["a", {"Ref": "P"}]]}, "a-value"),
        ({"Fn::Select": ["1", {"Fn::Split": [",", "x,y"]}]}, "y"),
        ({"Fn::Select": [0, ["x"]]}, "x"),
        ({"Fn::FindInMap": ["Table", "a", "b"]}, "found"),
        ({"Fn::Sub": "is ${P}"}, "is value"),
        ({"Fn::Sub": ["is ${Q}", {"Q": "q"}]}, "is q"),
        ({"deep": [{"Ref": "P"}]}, {"deep": ["value"]}),
    ],
)
def test_functions(function: Any, result: Any) -> None:
    assert configured(function, {"P": "value"}) == result


@pytest.mark.parametrize(
    "function",
    [
        {"Ref": "Q"},
        {"Ref": 7},
        {"Fn::Join": ["-", [1]]},
        {"Fn::Join": 3},
        {"Fn::Select": [2, ["x"]]},
        {"Fn::Select": [-1, ["x"]]},
        {"Fn::FindInMap": ["Table", "a", "c"]},
        {"Fn::Sub": "${Q}"},
        {"Fn::Base64": "x"},
    ],
)
def test_a_function_that_does_not_work_out_is_refused(function: Any) -> None:
    with pytest.raises(TemplateError):
        configured(function, {"P": "value"})


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        template(Extra={}),
        template(Resources={"x": {"Type": "AWS::IoT::Other"}}),
        template(Resources={"second": CERTIFICATE}),
        template(Resources={"thing": {"Type": "AWS::IoT::Thing", "More": 1}}),
        template(Parameters={"P": {"Type": "Number"}}),
    ],
)
def test_what_is_no_template_is_refused(body: str) -> None:
    with pytest.raises(TemplateError):
        Template.parse(body)


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("Thing", {}),
        ("Thing", {"ThingName": "a", "Colour": "red"}),
        ("Thing", {"ThingName": "a", "AttributePayload": {"a": 1}}),
        ("Thing", {"ThingName": "a", "ThingGroups": "g"}),
        ("Policy", {}),
        ("Policy", {"PolicyName": "a", "PolicyDocument": "{}"}),
    ],
)
def test_properties_that_would_not_be_honoured_are_refused(kind: str, properties: Any) -> None:
    body = template(Resources={"it": {"Type": f"AWS::IoT::{kind}", "Properties": properties}})
    with pytest.raises(TemplateError):
        Template.parse(body).plan({CERTIFICATE_ID: "c"})


@given(JSON)
def test_whatever_comes_is_a_plan_or_a_template_error(found: Any) -> None:
    with contextlib.suppress(TemplateError):
        Template.parse(json.dumps(found)).plan({CERTIFICATE_ID: "c"})
    body = json.dumps({"Resources": {"certificate": CERTIFICATE}, "DeviceConfiguration": {"x": found}})
    with contextlib.suppress(TemplateError):
        Template.parse(body).plan({CERTIFICATE_ID: "c"})
