"""PUT (scim.md K; RFC 7644 section 3.5.1)."""

from __future__ import annotations

import pytest

from schemas import urns
from tests.served import Scim, Service, refused, unique, user

ENTERPRISE = urns.ENTERPRISE_USER


def test_K1_PUT_never_creates(rfc: Scim) -> None:
    body = user()
    refused(rfc.put(f"/Users/{unique()}", body), 404)
    assert rfc.find(f'userName eq "{body["userName"]}"')["totalResults"] == 0


def test_K1_PUT_does_not_revive_a_deleted_user(rfc: Scim) -> None:
    made = rfc.made()
    rfc.delete(f"/Users/{made['id']}")
    refused(rfc.put(f"/Users/{made['id']}", user(made["userName"])), 404)


def test_K2_what_is_omitted_is_cleared(rfc: Scim) -> None:
    made = rfc.made(
        externalId=unique(), displayName="Ann", emails=[{"value": "a"}], active=True, enterprise={"division": "d"}
    )
    replaced = rfc.put(f"/Users/{made['id']}", user(made["userName"], title="t")).json()
    assert set(replaced) == {"schemas", "id", "userName", "title", "meta"}
    assert replaced["schemas"] == [urns.USER]
    assert rfc.read(made["id"]) == replaced


def test_K2_the_tenants_list_is_left_alone(service: Service) -> None:
    caller = service.caller("preserving")
    made = caller.made(
        nickName="Annie",
        title="t",
        name={"familyName": "Lee", "middleName": "J"},
        enterprise={"department": "d", "division": "v"},
    )
    replaced = caller.put(f"/Users/{made['id']}", user(made["userName"], name={"familyName": "Li"})).json()
    assert replaced["nickName"] == "Annie"
    assert "title" not in replaced
    assert replaced["name"] == {"familyName": "Li", "middleName": "J"}
    assert replaced[ENTERPRISE] == {"department": "d"}
    assert set(replaced["schemas"]) == {urns.USER, ENTERPRISE}
    assert caller.put(f"/Users/{made['id']}", user(made["userName"], nickName="An")).json()["nickName"] == "An"


def test_K3_what_is_readOnly_is_ignored(rfc: Scim) -> None:
    made = rfc.made()
    sent = user(made["userName"], groups=[{"value": "g"}], meta={"version": 'W/"9"', "created": "2001-01-01T00:00:00Z"})
    replaced = rfc.put(f"/Users/{made['id']}", sent)
    assert replaced.json() == made, "nothing but readOnly attributes differed"


def test_K4_no_attribute_of_a_user_is_immutable(rfc: Scim) -> None:
    """K4 speaks of immutable attributes; User and EnterpriseUser define none, so what may be written may be changed."""
    schemas = rfc.get("/Schemas").json()["Resources"]
    attributes = [each for schema in schemas for each in schema["attributes"]]
    subs = [sub for each in attributes for sub in each.get("subAttributes", [])]
    assert "immutable" not in {each["mutability"] for each in [*attributes, *subs]}
    made = rfc.made(externalId="first", enterprise={"employeeNumber": "1"})
    replaced = rfc.put(f"/Users/{made['id']}", user(externalId="second", enterprise={"employeeNumber": "2"})).json()
    assert (replaced["externalId"], replaced[ENTERPRISE]) == ("second", {"employeeNumber": "2"})


@pytest.mark.parametrize("name", [None, "", " "])
def test_K5_required_attributes_must_be_there(rfc: Scim, name: str | None) -> None:
    made = rfc.made()
    refused(rfc.put(f"/Users/{made['id']}", user(made["userName"]) | {"userName": name}), 400, "invalidValue")
    refused(rfc.put(f"/Users/{made['id']}", {"schemas": [urns.USER]}), 400, "invalidValue")
    assert rfc.read(made["id"]) == made


def test_K6_PUT_answers_200_with_the_whole_user(rfc: Scim, service: Service) -> None:
    made = rfc.made()
    answer = rfc.put(f"/Users/{made['id']}", user(made["userName"], displayName="Ann"))
    assert answer.status_code == 200
    replaced = answer.json()
    assert replaced["displayName"] == "Ann"
    assert answer.headers["ETag"] == replaced["meta"]["version"] == 'W/"2"'
    assert answer.headers["Location"] == made["meta"]["location"]
    assert rfc.read(made["id"]) == replaced


def test_K7_the_id_in_the_URL_wins(rfc: Scim) -> None:
    first, second = rfc.made(), rfc.made()
    replaced = rfc.put(f"/Users/{first['id']}", user(first["userName"], id=second["id"], displayName="Ann")).json()
    assert replaced["id"] == first["id"]
    assert rfc.read(second["id"]) == second


def test_K_GET_then_PUT_of_the_same_is_a_no_op(rfc: Scim, service: Service) -> None:
    made = rfc.made(displayName="Ann", emails=[{"value": "a", "primary": True}], enterprise={"division": "d"})
    answer = rfc.put(f"/Users/{made['id']}", made)
    assert answer.status_code == 200
    assert answer.json() == made
    assert answer.headers["ETag"] == 'W/"1"'
    assert len(service.events_of("rfc", made["id"])) == 1


def test_K_the_event_of_a_PUT_holds_what_was_asked_and_what_came_of_it(rfc: Scim, service: Service) -> None:
    made = rfc.made(active=True)
    answer = rfc.put(f"/Users/{made['id']}", user(made["userName"], active=False, groups=[]))
    created, put = service.events_of("rfc", made["id"])
    value = put["value"]
    assert set(value["events"]) == {urns.PUT_FULL, urns.DEACTIVATE}
    assert value["events"][urns.PUT_FULL]["data"] == {
        "schemas": [urns.USER],
        "userName": made["userName"],
        "active": False,
    }
    assert value["events"][urns.PUT_FULL]["version"] == 'W/"2"'
    assert value["after"] == {name: item for name, item in answer.json().items() if name != "meta"}
    assert value["txn"] == answer.headers["Scim-Txn"]
    assert created["value"]["jti"] == f"{made['id']}:1"
    assert value["jti"] == f"{made['id']}:2"
