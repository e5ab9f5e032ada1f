"""What of a query may be shown, and what never is."""

import pytest

from corsproxy.semantics.query import MAX_QUERY_BYTES, is_secret_name, show_query


@pytest.mark.parametrize(
    "name",
    [
        "token", "access_token", "id_token", "refreshToken", "x-csrf-token", "auth_token", "X-Amz-Security-Token",
        "key", "api_key", "apikey", "apiKey", "API-KEY", "x-api-key", "subscription-key", "AWSAccessKeyId", "keys[]", "googleKey",
        "secret", "client_secret", "clientSecret",
        "password", "passwd", "pass", "user[password]", "passphrase", "pwd", "newPwd",
        "code", "auth_code", "verificationCode", "device_code",
        "signature", "sig", "sign", "X-Amz-Signature", "X-Goog-Signature", "hmac",
        "auth", "authorization", "oauth_verifier", "authkey", "X-Auth", "authority",
        "session", "sessionid", "PHPSESSID", "JSESSIONID", "connect.sid", "sid",
        "jwt", "X-Amz-Credential", "X-Goog-Credential", "SAMLResponse", "client_assertion", "otp", "pin", "ticket",
        "TOKEN", "%74oken", "t%6Fken", "%2574oken", "tok%65n", "pass+word", "pass%20word",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    shown = show_query(b"a=1&" + name.encode() + b"=hunter2&b=2")

    assert shown == f"a=1&{name}=REDACTED&b=2"


@pytest.mark.parametrize(
    "name", ["page", "limit", "q", "author", "authors", "id", "user", "sort", "fields", "pinned", "passive", "design", "zip", "ticketing"]
)
def test_names_of_everything_else(name: str) -> None:
    assert not is_secret_name(name.encode())
    assert show_query(name.encode() + b"=value") == f"{name}=value"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (b"", ""),
        (b"token", "token"),
        (b"token=", "token="),
        (b"token=a&token=b", "token=REDACTED&token=REDACTED"),
        (b"a=1;token=b;c=d", "a=1;token=REDACTED;c=d"),
        (b"token=a=b", "token=REDACTED"),
        (b"next=https%3A%2F%2Fapp%2F%3Ftoken%3Dhunter2", "next=REDACTED"),
        (b"next=/login?a=1", "next=/login?a=1"),
        (b"next=https%253A%252F%252Fapp%252F%253Ftoken%253Dhunter2", "next=REDACTED"),
        (b"r=/a%23access_token%3Dhunter2", "r=REDACTED"),
        (b"x=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig", "x=REDACTED"),
        (b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig", "REDACTED"),
        (b"h=Bearer%20abcdef", "h=REDACTED"),
        (b"h=basic+abcdef", "h=REDACTED"),
        (b"q=\xc3\xa9", "q=é"),
        (b"q=\xff", "q=\\xff"),
    ],
)
def test_queries(query: bytes, shown: str) -> None:
    assert show_query(query) == shown


def test_what_stands_far_behind_is_not_shown() -> None:
    assert show_query(b"a=" + b"x" * MAX_QUERY_BYTES + b"&token=hunter2") == "a=" + "x" * (MAX_QUERY_BYTES - 2)
