"""Versions and conditional requests (scim.md O; RFC 7644 section 3.14)."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.served import Scim, Service, op, refused, unique, user


def test_O1_every_answer_about_one_user_has_its_version(rfc: Scim) -> None:
    created = rfc.post("/Users", user())
    path = f"/Users/{created.json()['id']}"
    answers = [
        created,
        rfc.put(path, user()),
        rfc.patch(path, op("replace", "title", value="t")),
        rfc.get(path),
    ]
    assert [answer.headers["ETag"] for answer in answers] == ['W/"1"', 'W/"2"', 'W/"3"', 'W/"3"']
    assert [answer.json()["meta"]["version"] for answer in answers] == ['W/"1"', 'W/"2"', 'W/"3"', 'W/"3"']


def test_O1_versions_count_from_1_without_a_gap(rfc: Scim) -> None:
    made = rfc.made()
    for number in range(2, 12):
        assert rfc.patched(made["id"], op("replace", "title", value=str(number)))["meta"]["version"] == f'W/"{number}"'


@pytest.mark.parametrize("tags", ['W/"1"', '"1"', "*", 'W/"9", W/"1"', '"x","1"', "1"])
def test_O2_If_None_Match_with_the_version_is_304(rfc: Scim, tags: str) -> None:
    made = rfc.made()
    answer = rfc.get(f"/Users/{made['id']}", headers={"If-None-Match": tags})
    assert answer.status_code == 304
    assert answer.headers["ETag"] == 'W/"1"'


def test_O2_If_None_Match_with_another_version_is_200(rfc: Scim) -> None:
    made = rfc.made()
    answer = rfc.get(f"/Users/{made['id']}", headers={"If-None-Match": 'W/"2"'})
    assert answer.status_code == 200
    assert answer.json() == made
    refused(rfc.get("/Users/unknown", headers={"If-None-Match": "*"}), 404)


@pytest.mark.parametrize("tags", ['W/"2"', '"2"', 'W/"2", W/"3"', "x", '"*"'])
def test_O3_If_Match_with_another_version_is_412_and_changes_nothing(rfc: Scim, tags: str) -> None:
    made = rfc.made()
    path, headers = f"/Users/{made['id']}", {"If-Match": tags}
    refused(rfc.put(path, user(displayName="x"), headers=headers), 412)
    refused(rfc.patch(path, op("replace", "title", value="t"), headers=headers), 412)
    refused(rfc.delete(path, headers=headers), 412)
    assert rfc.read(made["id"]) == made


@pytest.mark.parametrize("tags", ['W/"1"', '"1"', 'w/"1"', "*", 'W/"7", W/"1"'])
def test_O3_If_Match_with_the_version_goes_on(rfc: Scim, tags: str) -> None:
    first, second, third = rfc.made(), rfc.made(), rfc.made()
    headers = {"If-Match": tags}
    assert rfc.put(f"/Users/{first['id']}", user(), headers=headers).json()["meta"]["version"] == 'W/"2"'
    patched = rfc.patch(f"/Users/{second['id']}", op("replace", "title", value="t"), headers=headers)
    assert patched.json()["meta"]["version"] == 'W/"2"'
    assert rfc.delete(f"/Users/{third['id']}", headers=headers).status_code == 204


def test_O3_an_If_Match_that_names_nothing_is_refused(rfc: Scim) -> None:
    made = rfc.made()
    refused(rfc.put(f"/Users/{made['id']}", user(), headers={"If-Match": ""}), 400, "invalidValue")
    refused(rfc.put(f"/Users/{made['id']}", user(), headers={"If-Match": ","}), 400, "invalidValue")


def test_O4_a_missing_resource_with_If_Match_is_404(rfc: Scim) -> None:
    for tags in ("*", 'W/"1"'):
        path, headers = f"/Users/{unique()}", {"If-Match": tags}
        refused(rfc.put(path, user(), headers=headers), 404)
        refused(rfc.patch(path, op("replace", "title", value="t"), headers=headers), 404)
        refused(rfc.delete(path, headers=headers), 404)


def test_O5_of_parallel_writers_with_one_version_exactly_one_wins(rfc: Scim) -> None:
    made = rfc.made()
    path, writers = f"/Users/{made['id']}", 12
    gate = threading.Barrier(writers)

    def write(number: int) -> int:
        gate.wait()
        body = user(made["userName"], title=str(number))
        return rfc.put(path, body, headers={"If-Match": 'W/"1"'}).status_code

    with ThreadPoolExecutor(writers) as threads:
        statuses = Counter(threads.map(write, range(writers)))
    assert statuses == {200: 1, 412: writers - 1}
    assert rfc.read(made["id"])["meta"]["version"] == 'W/"2"'


def test_O5_parallel_increments_by_read_and_If_Match_lose_nothing(rfc: Scim) -> None:
    made = rfc.made(title="0")
    path, writers, each = f"/Users/{made['id']}", 4, 5

    def increment(_: int) -> None:
        for _ in range(each):
            while True:
                read = rfc.get(path)
                value = str(int(read.json()["title"]) + 1)
                headers = {"If-Match": read.headers["ETag"]}
                answer = rfc.patch(path, op("replace", "title", value=value), headers=headers)
                if answer.status_code == 200:
                    break
                refused(answer, 412)

    with ThreadPoolExecutor(writers) as threads:
        list(threads.map(increment, range(writers)))
    final = rfc.read(made["id"])
    assert final["title"] == str(writers * each)
    assert final["meta"]["version"] == f'W/"{writers * each + 1}"'


def test_INV2_parallel_changes_make_one_version_each(rfc: Scim, service: Service) -> None:
    made, writers, each = rfc.made(), 6, 5
    path = f"/Users/{made['id']}"

    def add(number: int) -> list[str]:
        changes = [op("add", "emails", value=[{"value": f"{number}-{count}@example.com"}]) for count in range(each)]
        return [rfc.patch(path, change).headers["ETag"] for change in changes]

    with ThreadPoolExecutor(writers) as threads:
        tags = [tag for own in threads.map(add, range(writers)) for tag in own]
    versions = range(2, writers * each + 2)
    assert sorted(tags) == sorted(f'W/"{version}"' for version in versions)
    assert len(rfc.read(made["id"])["emails"]) == writers * each
    jtis = [event["value"]["jti"] for event in service.events_of("rfc", made["id"])]
    assert jtis == [f"{made['id']}:{version}" for version in (1, *versions)]


def test_INV4_of_parallel_creates_of_one_name_exactly_one_wins(rfc: Scim) -> None:
    name, writers = unique("name"), 12
    gate = threading.Barrier(writers)

    def create(number: int) -> int:
        gate.wait()
        return rfc.post("/Users", user(name.upper() if number % 2 else name, title=str(number))).status_code

    with ThreadPoolExecutor(writers) as threads:
        assert Counter(threads.map(create, range(writers))) == {201: 1, 409: writers - 1}
    assert rfc.find(f'userName eq "{name}"')["totalResults"] == 1


def test_INV4_a_name_that_many_free_and_take_has_one_holder_at_a_time(rfc: Scim) -> None:
    name, writers = unique("name"), 6

    def take_and_free(_: int) -> Counter[int]:
        statuses: Counter[int] = Counter()
        for _ in range(5):
            answer = rfc.post("/Users", user(name, title=unique()))
            statuses[answer.status_code] += 1
            if answer.status_code == 201:
                assert rfc.delete(f"/Users/{answer.json()['id']}").status_code == 204
        return statuses

    with ThreadPoolExecutor(writers) as threads:
        statuses = sum(threads.map(take_and_free, range(writers)), Counter())
    assert set(statuses) <= {201, 409}
    assert statuses[201] >= 1
    assert rfc.find(f'userName eq "{name}"')["totalResults"] == 0
    assert rfc.made(name)["meta"]["version"] == 'W/"1"'


def test_O6_the_version_does_not_depend_on_the_projection(rfc: Scim) -> None:
    made = rfc.made(displayName="Ann")
    path = f"/Users/{made['id']}"
    tags = {
        rfc.get(path).headers["ETag"],
        rfc.get(path, attributes="userName").headers["ETag"],
        rfc.get(path, excludedAttributes="displayName").headers["ETag"],
        rfc.get(path, headers={"Accept": "application/json"}).headers["ETag"],
    }
    assert tags == {'W/"1"'}


def test_O7_a_tenant_may_require_If_Match(service: Service) -> None:
    caller = service.caller("ifmatch")
    made = caller.made()
    path = f"/Users/{made['id']}"
    refused(caller.put(path, user()), 428)
    refused(caller.patch(path, op("replace", "title", value="t")), 428)
    refused(caller.delete(path), 428)
    assert caller.read(made["id"]) == made
    assert caller.put(path, user(), headers={"If-Match": 'W/"1"'}).status_code == 200
    assert caller.delete(path, headers={"If-Match": "*"}).status_code == 204


def test_O_a_no_op_keeps_version_and_lastModified_and_makes_no_event(rfc: Scim, service: Service) -> None:
    made = rfc.made(displayName="Ann", emails=[{"value": "a", "type": "work"}])
    path = f"/Users/{made['id']}"
    body = user(made["userName"], displayName="Ann", emails=[{"value": "a", "type": "work"}])
    for answer in (
        rfc.put(path, body),
        rfc.patch(path, op("replace", "displayName", value="Ann")),
        rfc.patch(path, op("add", "emails", value=[{"value": "a", "type": "work"}])),
        rfc.patch(path, op("remove", "title")),
        rfc.patch(path, op("replace", "displayName", value="x"), op("replace", "displayName", value="Ann")),
    ):
        assert answer.status_code == 200
        assert answer.json() == made
        assert answer.headers["ETag"] == 'W/"1"'
    assert [event["value"]["jti"] for event in service.events_of("rfc", made["id"])] == [f"{made['id']}:1"]


def test_O_a_rejected_request_never_takes_effect(rfc: Scim, service: Service) -> None:
    made = rfc.made()
    path = f"/Users/{made['id']}"
    refused(rfc.patch(path, op("replace", "title", value="t"), op("remove", "userName")), 400, "mutability")
    refused(rfc.put(path, user(displayName="x"), headers={"If-Match": 'W/"5"'}), 412)
    assert rfc.patched(made["id"], op("replace", "nickName", value="n"))["meta"]["version"] == 'W/"2"'
    assert "title" not in rfc.read(made["id"])
    assert len(service.events_of("rfc", made["id"])) == 2
