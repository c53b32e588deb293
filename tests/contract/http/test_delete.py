"""DELETE (scim.md M; RFC 7644 section 3.6)."""

from __future__ import annotations

from schemas import urns
from tests.served import Scim, Service, op, refused, user


def test_M1_a_deleted_user_is_gone_from_everywhere(rfc: Scim, service: Service) -> None:
    made = rfc.made(externalId="gone-" + service.tokens["rfc"][-6:])
    path = f"/Users/{made['id']}"
    total = rfc.get("/Users", count=0).json()["totalResults"]
    answer = rfc.delete(path)
    assert answer.status_code == 204
    assert answer.content == b""
    refused(rfc.get(path), 404)
    refused(rfc.put(path, user(made["userName"])), 404)
    refused(rfc.patch(path, op("replace", "title", value="t")), 404)
    assert rfc.find(f'userName eq "{made["userName"]}"')["totalResults"] == 0
    assert rfc.find(f'externalId eq "{made["externalId"]}"')["totalResults"] == 0
    assert rfc.find(f'id eq "{made["id"]}"')["totalResults"] == 0
    assert rfc.get("/Users", count=0).json()["totalResults"] == total - 1


def test_M1_the_name_may_be_taken_again(rfc: Scim) -> None:
    made = rfc.made()
    rfc.delete(f"/Users/{made['id']}")
    again = rfc.made(made["userName"].upper())
    assert again["id"] != made["id"], "an id is never given twice"
    assert again["meta"]["version"] == 'W/"1"'


def test_M1_the_event_of_a_delete_has_no_personal_data(rfc: Scim, service: Service) -> None:
    made = rfc.made(displayName="Ann")
    answer = rfc.delete(f"/Users/{made['id']}")
    _, deleted = service.events_of("rfc", made["id"])
    value = deleted["value"]
    assert value["events"] == {urns.DELETE: {}}
    assert value["jti"] == f"{made['id']}:2"
    assert value["txn"] == answer.headers["Scim-Txn"]
    assert set(value) == {"iss", "iat", "jti", "txn", "seq", "sub_id", "events"}
    assert value["sub_id"] == {"format": "scim", "uri": f"/Users/{made['id']}", "id": made["id"]}


def test_M2_a_second_DELETE_is_404(rfc: Scim) -> None:
    made = rfc.made()
    path = f"/Users/{made['id']}"
    assert rfc.delete(path).status_code == 204
    refused(rfc.delete(path), 404)
    refused(rfc.delete("/Users/never"), 404)
