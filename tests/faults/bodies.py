"""The bodies that the load sends: users, replacements and PATCH requests, each with a mark of its own."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from tests.faults.history import MARK

USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH_OP: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

Body = dict[str, Any]

# One name in two spellings each: they must be one name (INV-4).
_SPELLINGS: Final = (("shared-{}-strasse", "Shared-{}-Straße"), ("shared-{}-ann", "SHARED-{}-ANN"))


def new_mark(random: Random) -> str:
    """Return a mark that no other write carries."""
    return f"{MARK}{random.getrandbits(96):024x}"


def shared_name(random: Random, count: int) -> str:
    """Return one of ``count`` names that all clients contend for, in one of its spellings."""
    number = random.randrange(count)
    return random.choice(_SPELLINGS[number % len(_SPELLINGS)]).format(number)


def own_name(random: Random) -> str:
    """Return a name that nobody else will ask for."""
    return f"own-{random.getrandbits(80):020x}@example.com"


def user(random: Random, name: str) -> Body:
    """Return a user with that userName."""
    family = f"Family {random.randrange(1000)}"
    body: Body = {
        "schemas": [USER, ENTERPRISE],
        "userName": name,
        "nickName": new_mark(random),
        "externalId": f"e-{random.getrandbits(40)}",
        "active": random.random() < 0.8,
        "name": {"familyName": family, "givenName": "Ann", "formatted": f"Ann {family}"},
        "emails": [{"value": f"{random.getrandbits(32)}@work.example", "type": "work"}],
        "title": "Engineer " * random.randrange(1, 20),
        ENTERPRISE: {"employeeNumber": str(random.randrange(10**6)), "department": "Tours"},
    }
    if random.random() < 0.3:
        body["emails"].append({"value": f"{random.getrandbits(32)}@home.example", "type": "home"})
    if random.random() < 0.2:
        body |= {"schemas": [USER]}
        del body[ENTERPRISE]
    body["title"] = body["title"].strip()
    return body


def patch(random: Random, name: str | None = None) -> Body:
    """Return a PATCH request of one to three operations; with ``name`` it renames, too."""
    operations = [_operation(random) for _ in range(random.randrange(3))]
    if name is not None:
        operations.append(random.choice([_set("userName", name), {"op": "replace", "value": {"userName": name}}]))
    operations.append(_set("nickName", new_mark(random)))
    return {"schemas": [PATCH_OP], "Operations": operations}


def _operation(random: Random) -> Body:
    word = f"{random.getrandbits(32):08x}"
    return random.choice(
        [
            _set("title", f"Title {word}"),
            _set("active", random.random() < 0.5),
            _set("name.familyName", f"Family {word}"),
            _set(f"{ENTERPRISE}:department", f"Department {word}"),
            {"op": "replace", "value": {"displayName": word, "active": random.random() < 0.5}},
            {"op": "add", "value": {"name": {"honorificPrefix": word}, "locale": "en-GB"}},
            {"op": "add", "path": "emails", "value": [{"value": f"{word}@other.example", "type": "other"}]},
            {"op": "add", "path": 'emails[type eq "home"].value', "value": f"{word}@home.example"},
            {"op": "remove", "path": 'emails[type eq "other"]'},
            {"op": "remove", "path": "displayName"},
        ]
    )


def _set(path: str, value: Any) -> Body:
    return {"op": "replace", "path": path, "value": value}
