"""The service that other people's programs judge, and their client."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2
import pytest
from scim2_client.engines.httpx2 import SyncSCIMClient

from tests.served import Service, serving


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One server for all judges."""
    with serving(tmp_path_factory.mktemp("judged")) as running:
        yield running


class Judged(httpx2.HTTPTransport):
    """Sends requests, notes them, and hides from the judges the one thing they do not know yet.

    ``securityEvents`` of the ServiceProviderConfig is RFC 9967's (section 5, May 2026). scim2-models 0.12 refuses
    attributes that it does not know, so without this a judge that knows RFC 7643 alone would see nothing of the server.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[httpx2.Request] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.sent.append(request)
        answer = super().handle_request(request)
        if not request.url.path.endswith("/ServiceProviderConfig") or answer.status_code != 200:
            return answer
        config = json.loads(answer.read())
        answer.close()
        del config["securityEvents"]
        headers = [(name, value) for name, value in answer.headers.raw if name.lower() != b"content-length"]
        return httpx2.Response(200, headers=headers, content=json.dumps(config).encode())


@pytest.fixture(params=["judged", "judged-argon"])
def judged(request: pytest.FixtureRequest, service: Service) -> Iterator[tuple[SyncSCIMClient, Judged]]:
    """scim2-client with its real engine for HTTP, in a tenant that drops passwords and in one that keeps them."""
    transport = Judged()
    headers = {"Authorization": f"Bearer {service.tokens[request.param]}"}
    with httpx2.Client(base_url=service.base_url, headers=headers, transport=transport) as http:
        yield SyncSCIMClient(http), transport
