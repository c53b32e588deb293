"""The switches of a tenant that change what a request means; they travel in the command, so that workers hold none."""

from __future__ import annotations

from typing import Final

import msgspec


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a tenant tolerates beyond the RFC, and what it wants stricter (``scim.md`` section 3).

    The defaults are profile ``rfc``. A command carries its Rules only where they differ from the default.
    """

    string_booleans: bool = False
    """``"True"`` and ``"False"`` stand for booleans in boolean attributes (Entra's legacy PATCH)."""
    dotted_keys: bool = False
    """``{"name.familyName": …}`` in a pathless PATCH value is a path (Entra)."""
    complex_from_string: bool = False
    """A string where a complex attribute with ``value`` is due means ``{"value": …}``; ``""`` unassigns (Entra, manager)."""
    bare_members: bool = False
    """A bare string in a multi-valued complex attribute means ``{"value": …}``."""
    remove_by_value: bool = False
    """``remove`` with a value array removes the elements named by it instead of the whole attribute (Entra, authentik)."""
    patch_without_schemas: bool = False
    """A PATCH body may lack the PatchOp schema."""
    single_values: bool = False
    """An object where an array of objects is due is an array of one (OneLogin's ``emails``)."""
    bare_filter_words: bool = False
    """``userName eq ann`` without quotes (Entra's documents, Okta's import)."""
    replace_as_add: bool = False
    """``replace`` whose value path matches nothing adds the element instead of 400 noTarget."""
    strict_attributes: bool = False
    """An attribute that no schema defines is 400 instead of ignored."""
    strict_formats: bool = False
    """Formats of country, binary and reference values are checked."""
    strict_extensions: bool = False
    """Extension attributes whose URN is not in ``schemas`` are 400 instead of accepted."""
    patch_no_content: bool = False
    """A successful PATCH answers 204 instead of 200 with the resource (RFC 7644 section 3.5.2 allows both)."""
    require_if_match: bool = False
    """PUT, PATCH and DELETE without If-Match are 428."""
    put_preserves: tuple[str, ...] = ()
    """Attribute paths that a PUT which omits them leaves alone instead of clearing."""


_ENTRA = Rules(
    bare_filter_words=True,
    complex_from_string=True,
    dotted_keys=True,
    patch_without_schemas=True,
    replace_as_add=True,
    string_booleans=True,
    remove_by_value=True,
    bare_members=True,
)

PROFILES: Final[dict[str, Rules]] = {
    "rfc": Rules(),
    "entra": _ENTRA,
    "entra-legacy": _ENTRA,
    "okta": Rules(bare_filter_words=True, patch_without_schemas=True, remove_by_value=True),
    "onelogin": Rules(
        single_values=True, bare_members=True, patch_without_schemas=True, remove_by_value=True, replace_as_add=True
    ),
    "lenient": Rules(
        bare_filter_words=True,
        bare_members=True,
        complex_from_string=True,
        dotted_keys=True,
        patch_without_schemas=True,
        remove_by_value=True,
        replace_as_add=True,
        single_values=True,
        string_booleans=True,
    ),
}
"""Named sets of switches; a tenant names one (``profile``) and may override single switches."""
