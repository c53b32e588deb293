"""scim2-client's life cycle of a user: it validates every answer against RFC 7643 and 7644 by itself."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from scim2_client import ResponsePayloadValidationException
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_models import Error, ListResponse, PatchOp, SearchRequest, ServiceProviderConfig

from tests.judges.conftest import Judged
from tests.served import Service, op, patch_op, unique


def if_match(transport: Judged) -> str | None:
    """Return the condition of the last request."""
    header: str | None = transport.sent[-1].headers.get("If-Match")
    return header


def test_O8_the_life_cycle_of_a_user_with_automatic_If_Match(judged: tuple[SyncSCIMClient, Judged]) -> None:
    scim, transport = judged
    scim.discover()
    model: Any = scim.get_resource_model("User")
    extension: Any = model.get_extension_models()["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"]
    name = unique("Bärbel")

    wanted = model(user_name=name, external_id=unique("e"), display_name="Bärbel", active=True)
    wanted.emails = [{"value": "b@example.com", "type": "work", "primary": True}]
    wanted[extension] = extension(employee_number="7", department="Tours")
    created: Any = scim.create(wanted)
    assert created.meta.version == 'W/"1"'
    assert (created.user_name, created[extension].employee_number) == (name, "7")

    for text in (f'userName eq "{name}"', f'externalId eq "{created.external_id}"'):
        found = scim.query(model, query_parameters=SearchRequest.model_validate({"filter": text}))
        assert isinstance(found, ListResponse)
        assert found.total_results == 1
        assert found.resources is not None
        assert found.resources[0] == created

    read: Any = scim.query(model, created.id)
    assert read == created
    assert scim.query(read) is read, "304: what it has is what there is"

    read.display_name = "Babs"
    replaced: Any = scim.replace(read)
    assert if_match(transport) == 'W/"1"'
    assert (replaced.display_name, replaced.meta.version) == ("Babs", 'W/"2"')

    stale = scim.replace(created, raise_scim_errors=False)
    assert if_match(transport) == 'W/"1"'
    assert isinstance(stale, Error)
    assert stale.status == 412

    change = patch_op(
        op("replace", 'emails[type eq "work"].value', value="babs@example.com"), op("add", "nickName", value="Babs")
    )
    modified: Any = scim.modify(replaced, PatchOp[model].model_validate(change))
    assert if_match(transport) == 'W/"2"'
    assert (modified.emails[0].value, modified.nick_name, modified.meta.version) == (
        "babs@example.com",
        "Babs",
        'W/"3"',
    )

    assert isinstance(scim.delete(replaced, raise_scim_errors=False), Error), "a stale delete"
    assert scim.delete(modified) is None
    assert if_match(transport) == 'W/"3"'
    gone = scim.query(model, created.id, raise_scim_errors=False)
    assert isinstance(gone, Error)
    assert gone.status == 404


def test_what_is_hidden_from_the_judges_is_all_that_they_object_to(service: Service) -> None:
    """As soon as scim2-models knows RFC 9967's securityEvents, this fails and ``Judged`` can go."""
    with httpx2.Client(base_url=service.base_url) as http, pytest.raises(ResponsePayloadValidationException) as caught:
        SyncSCIMClient(http).query(ServiceProviderConfig)
    assert "1 validation error" in str(caught.value.__cause__)
    assert "securityEvents" in str(caught.value.__cause__)
