"""scim2-tester: every check that it has for users and discovery, none filtered out beforehand."""

from __future__ import annotations

from collections import Counter
from typing import Final

from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from tests.judges.conftest import Judged

SKIPPED: Final[dict[tuple[str, str | None], str]] = {
    ("search_with_attributes", "User"): (
        "POST /Users/.search (RFC 7644 section 3.4.3) comes with the query engine; until then the endpoint is a 404, "
        "and no attribute of the ServiceProviderConfig could announce it or not"
    ),
}
"""Check and resource type → why its verdict does not count. All other verdicts must be good."""

RUN: Final = {
    "service_provider_config_endpoint": 1,
    "service_provider_config_endpoint_methods": 4,
    "query_all_resource_types": 1,
    "query_resource_type_by_id": 1,
    "resource_types_endpoint_methods": 4,
    "resource_types_schema_validation": 1,
    "access_invalid_resource_type": 1,
    "query_all_schemas": 1,
    "access_schema_by_id": 2,
    "schemas_endpoint_methods": 4,
    "access_invalid_schema": 1,
    "random_url": 1,
    "object_creation": 1,
    "object_query": 1,
    "object_query_without_id": 1,
    "object_query_with_attributes": 2,
    "object_list_with_attributes": 2,
    "object_replacement": 1,
    "object_deletion": 1,
    "check_add_attribute": 27,
    "check_replace_attribute": 28,
    "check_remove_attribute": 26,
}
"""Check → how many of its verdicts count: 112 in all."""


def test_all_checks_of_users_and_discovery_pass(judged: tuple[SyncSCIMClient, Judged]) -> None:
    scim, _ = judged
    results = check_server(scim)
    counted = [each for each in results if (each.title, each.resource_type) not in SKIPPED]
    bad = [each for each in counted if each.status is not Status.SUCCESS]
    assert not bad, "\n".join(f"{each.title} of {each.resource_type}: {each.reason}" for each in bad)
    assert Counter(each.title for each in counted) == RUN
    assert len(counted) == sum(RUN.values()) == 112
    skipped = [each for each in results if (each.title, each.resource_type) in SKIPPED]
    assert len(skipped) == len(SKIPPED) == 1
    assert all(each.status is Status.ERROR for each in skipped), "a skip that is no longer needed"
