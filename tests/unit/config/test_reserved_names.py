"""Names of header fields that neither a rule nor the request's id may take: they would break messages, or speak for somebody else."""

import pytest

from corsproxy import problems
from corsproxy.config.load import load_text

SMALLEST = "upstream: http://localhost:9000\ncors: none\n"
# Where a message ends, whom it is for, and what it may do.
BREAKING = ("Content-Length", "content-length", "Content_Length", "Transfer-Encoding", "Transfer_Encoding", "Connection", "Host", "Origin")
READ = ("Authorization", "Cookie", "Set-Cookie", "Vary", "Location", "Via", "Date", "traceparent", "X-Forwarded-For", "X_Forwarded_Any")


def codes(text: str) -> list[str]:
    return [each.problem.code for each in load_text(SMALLEST + text, "f").diagnostics]


@pytest.mark.parametrize("name", [*BREAKING, *READ, "Access-Control-Allow-Origin"])
def test_the_id_of_a_request_takes_no_field_that_means_something_else(name: str) -> None:
    assert codes(f"request_id: {{header: {name}}}\n") == [problems.RESERVED_FIELD.code]


@pytest.mark.parametrize("name", ["X-Request-Id", "x-request-id", "X-Correlation-Id", "Request_Id"])
def test_the_id_of_a_request_takes_any_other(name: str) -> None:
    assert codes(f"request_id: {{header: {name}}}\n") == []


@pytest.mark.parametrize("name", [*BREAKING, "X_Forwarded_For", "Access_Control_Request_Method"])
def test_no_rule_writes_a_field_that_an_upstream_could_take_for_one_of_these(name: str) -> None:
    """Gateways to CGI and WSGI read `_` as `-`: the upstream would see two lengths."""
    assert codes(f"headers: {{request: {{set: {{{name}: '5'}}}}}}\n") == [problems.RESERVED_FIELD.code]
