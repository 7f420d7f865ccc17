"""Origins are refused unless some browser sends them, letter by letter."""

import pytest

from clapometer.domain import InputError, check_origin


@pytest.mark.parametrize(
    "origin",
    ["https://shop.example", "http://localhost:3000", "https://xn--bcher-kva.example", "http://[::1]:8080",
     "capacitor://localhost", "chrome-extension://abcdefgh", "https://a.b:65535", "http://127.0.0.1"],
)  # fmt: skip
def test_what_browsers_send_is_taken(origin: str) -> None:
    assert check_origin(origin) == origin


@pytest.mark.parametrize(
    ("origin", "meant"),
    [
        ("example.com", "https://example.com"),
        ("https://example.com/", "https://example.com"),
        ("https://Example.com/path?q", "https://example.com"),
        ("example.com:8443", "https://example.com:8443"),
        ("https://example.com:443", "https://example.com"),
        ("http://example.com:80/", "http://example.com"),
        (" https://example.com", "https://example.com"),
        ("https://user:secret@example.com", "https://example.com"),
        ("https://*.example.com", ""),
        ("*", ""),
        ("null", "https://null"),
        ("", ""),
        ("https://", ""),
        ("https://bücher.example", ""),
        ("https://a.example:99999", ""),
        ("https://example.com\n", "https://example.com"),
    ],
)
def test_what_none_sends_is_refused_with_what_was_meant(origin: str, meant: str) -> None:
    with pytest.raises(InputError, match="sent by no browser") as refused:
        check_origin(origin)
    said = str(refused.value)
    assert said.startswith("origin: ")
    assert (f"did you mean {meant}?" in said) if meant else ("did you mean" not in said)
