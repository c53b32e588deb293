"""Memberships, made of the documents of groups."""

from __future__ import annotations

import msgspec
import pytest

from schemas.memberships import Membership, membership


def test_a_group_is_told_by_its_display_name() -> None:
    doc = b'{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"id":"g1","displayName":"Staff"}'
    assert membership("g1", doc, direct=True) == Membership("g1", "Staff", direct=True)
    assert membership("g1", b'{"id":"g1"}', direct=False) == Membership("g1", None, direct=False)


def test_what_is_no_document_of_a_group_is_not_guessed() -> None:
    with pytest.raises(msgspec.DecodeError):
        membership("g1", b'{"displayName":7}', direct=True)
