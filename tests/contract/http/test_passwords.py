"""Passwords (R5; design.md section 9): dropped, or hashed by argon2id; seen by nobody again."""

from __future__ import annotations

import uuid

from tests.served import Scim, Service, op, patch_op, refused, unique, user


def canary() -> str:
    return f"Pw-{uuid.uuid4().hex}!"


def test_R5_a_password_is_nowhere_in_what_the_service_keeps(rfc: Scim, service: Service) -> None:
    secrets: list[str] = []
    for caller in (rfc, service.caller("argon"), service.caller("entra")):
        one, two, three, four = (canary() for _ in range(4))
        made = caller.post("/Users", user(password=one))
        assert made.status_code == 201
        path = f"/Users/{made.json()['id']}"
        assert caller.put(path, user(password=two)).status_code == 200
        assert caller.patch(path, op("replace", "password", value=three)).status_code == 200
        assert caller.patch(path, op("replace", value={"password": four, "title": "t"})).status_code == 200
        secrets += [one, two, three, four]
        wrong = canary()
        refused(caller.post("/Users", user(password=wrong, active="maybe")), 400, "invalidValue")
        refused(caller.request("POST", "/Users", content=f'{{"password":"{wrong}'.encode()), 400, "invalidSyntax")
        refused(caller.get("/Users", filter=f'password eq "{wrong}"'), 400, "invalidFilter")
        refused(
            caller.post(
                "/Users",
                user(made.json()["userName"], password=wrong)
                | {"userName": caller.read(made.json()["id"])["userName"]},
            ),
            409,
            "uniqueness",
        )
        secrets.append(wrong)
    kept = service.kept()
    assert b"argon2id" in kept, "hashes are kept, so this looks at the right files"
    for secret in secrets:
        assert secret.encode() not in kept
    text = service.metrics()
    assert not any(secret in text for secret in secrets)


def test_R5_no_hash_is_shown_in_answers_events_logs_or_metrics(service: Service) -> None:
    caller = service.caller("argon")
    made = caller.made(password=canary())
    path = f"/Users/{made['id']}"
    assert "argon2" not in caller.get(path).text
    assert "argon2" not in caller.get("/Users", filter=f'id eq "{made["id"]}"', attributes="password").text
    assert "argon2" not in str(service.events_of("argon", made["id"]))
    assert "argon2" not in service.metrics()


def test_R5_a_new_password_is_a_new_version_and_its_event_is_silent_about_it(service: Service) -> None:
    caller = service.caller("argon")
    made = caller.made(password=canary())
    patched = caller.patched(made["id"], op("replace", "password", value=canary()))
    assert patched["meta"]["version"] == 'W/"2"'
    _, event = service.events_of("argon", made["id"])
    assert "password" not in str(event)
    removed = caller.patched(made["id"], op("remove", "password"))
    assert removed["meta"]["version"] == 'W/"3"'
    again = caller.patched(made["id"], op("remove", "password"))
    assert again["meta"]["version"] == 'W/"3"', "what is not there cannot be removed"


def test_R5_an_empty_password_is_none(service: Service) -> None:
    caller = service.caller("argon")
    made = caller.made(password="")
    removed = caller.patched(made["id"], op("remove", "password"))
    assert removed["meta"]["version"] == 'W/"1"', "none was stored"
    kept = caller.made(password=canary())
    assert caller.patched(kept["id"], op("replace", "password", value=""))["meta"]["version"] == 'W/"1"'


def test_R5_a_dropped_password_changes_nothing(rfc: Scim) -> None:
    made = rfc.made(password=canary())
    assert rfc.patched(made["id"], op("replace", "password", value=canary())) == made
    assert rfc.patched(made["id"], op("remove", "password")) == made
    assert rfc.put(f"/Users/{made['id']}", user(made["userName"], password=canary())).json() == made


def test_R5_a_PUT_without_a_password_leaves_it(service: Service) -> None:
    caller = service.caller("argon")
    made = caller.made(password=canary())
    assert caller.put(f"/Users/{made['id']}", user(made["userName"])).json() == made, "no difference: the hash is kept"


def test_R5_a_repeat_with_the_same_password_is_a_repeat_and_with_another_is_not(service: Service) -> None:
    caller = service.caller("argon")
    body, headers = user(password=canary()), {"Idempotency-Key": unique()}
    first = caller.post("/Users", body, headers=headers)
    again = caller.post("/Users", body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    refused(caller.post("/Users", body | {"password": canary()}, headers=headers), 422)


def test_R5_where_passwords_are_dropped_they_make_no_difference_between_repeats(rfc: Scim) -> None:
    body, headers = user(password=canary()), {"Idempotency-Key": unique()}
    first = rfc.post("/Users", body, headers=headers)
    again = rfc.post("/Users", body | {"password": canary()}, headers=headers)
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])


def test_R5_a_password_of_a_wrong_type_or_without_characters_is_refused(rfc: Scim, service: Service) -> None:
    for caller in (rfc, service.caller("argon")):
        refused(caller.post("/Users", user(password=5)), 400, "invalidValue")
        made = caller.made()
        answer = caller.request("PATCH", f"/Users/{made['id']}", patch_op(op("replace", "password", value=["x"])))
        refused(answer, 400, "invalidValue")
