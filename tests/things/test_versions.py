"""Records that are kept in versions."""

from __future__ import annotations

from littoral.things.provisioning import ProvisioningTemplate
from littoral.things.registry import PolicyRecord


def test_a_number_is_not_used_again() -> None:
    record = PolicyRecord.made("p", "{}", 1.0).adding("{2}", 2.0, as_default=False)
    assert (record.default.text, record.newest.id, record.modified) == ("{}", 2, 2.0)
    again = record.without(record.newest, 3.0).adding("{3}", 4.0, as_default=True)
    assert [version.id for version in again.versions] == [1, 3]
    assert again.default.text == "{3}"
    assert again.generation == record.generation


def test_what_is_kept_is_read_again() -> None:
    record = PolicyRecord.made("p", "{}", 1.0).adding("{2}", 2.0, as_default=True)
    assert PolicyRecord.from_json(record.to_json()) == record


def test_the_first_places_wrote_numbers_of_policies_as_text() -> None:
    kept = {
        **{"name": "p", "default_id": "2", "created": 1.0, "modified": 2.0, "generation": "g", "next_id": 3},
        "versions": [
            {"id": "1", "document": "{}", "created": 1.0},
            {"id": "2", "document": "{2}", "created": 2.0},
        ],
    }
    record = PolicyRecord.from_json(kept)
    assert record.default.text == "{2}"
    assert record.adding("{3}", 3.0, as_default=False).newest.id == 3


def test_a_template_that_an_earlier_place_wrote() -> None:
    kept = {
        **{"name": "t", "default_id": 1, "role": "r", "created": 1.0, "modified": 2.0, "description": "d"},
        **{"enabled": True, "kind": "JITP", "hook": {}, "next_id": 2},
        "versions": [{"id": 1, "body": "{}", "created": 1.0}],
    }
    template = ProvisioningTemplate.from_json(kept)
    assert (template.default.text, template.role, template.kind) == ("{}", "r", "JITP")
    assert template.to_json() == kept
