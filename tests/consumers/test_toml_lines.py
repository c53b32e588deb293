"""Lines of keys in TOML files, for the errors that name them."""

from __future__ import annotations

import pytest

from consumers.errors import SettingsError
from consumers.toml_lines import Path, line_of, parse_toml

TEXT = '''# comment
top = 1

[server]
secret = """
tenants = 1
[not.a.table]
"""

[tenants.default]   # with a comment
profile = "rfc"
rules.string_booleans = true
"password" = "drop"
[[tenants.default.tokens]]
name = "a"
[[tenants.default.tokens]]
name = "b"
inline = { deep = 1 }
[ tenants . "other" ]
profile = "rfc"
[[tenants.other.tokens]]
name = "c"
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("server", "secret"), 5),
        (("not", "a", "table"), None),
        (("tenants", "default"), 10),
        (("tenants", "default", "profile"), 11),
        (("tenants", "default", "rules", "string_booleans"), 12),
        (("tenants", "default", "password"), 13),
        (("tenants", "default", "tokens", 0), 14),
        (("tenants", "default", "tokens", 0, "name"), 15),
        (("tenants", "default", "tokens", 1, "name"), 17),
        (("tenants", "default", "tokens", 1, "inline", "deep"), 18),
        (("tenants", "other", "profile"), 20),
        (("tenants", "other", "tokens", 0, "name"), 22),
        (("tenants", "other", "missing"), 19),
        (("nowhere",), None),
        ((), None),
    ],
)
def test_the_line_is_that_of_the_key_or_of_what_encloses_it(path: Path, line: int | None) -> None:
    assert line_of(TEXT, path) == line


@pytest.mark.parametrize("text", ["a = ", f"a = {'9' * 5000}", "a = " + "[" * 5000], ids=["cut", "huge", "deep"])
def test_what_is_no_toml_is_refused_as_a_mistake_in_the_file(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^f\.toml: not TOML"):
        parse_toml(text.encode(), "f.toml")
