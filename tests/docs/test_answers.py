"""The page about the proxy's own answers shows what they are."""

import json
import re
from pathlib import Path

from corsproxy import problems
from corsproxy.answers import Context, Exchange, problem_answer
from corsproxy.cors.decide import Facts, decide
from corsproxy.cors.policy import PolicyDraft, build_policy

PAGE = (Path(__file__).parents[2] / "docs" / "answers.md").read_text()
ORIGIN = "https://app.example.com"
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
POLICY = build_policy(PolicyDraft((ORIGIN,)))[0]


def context(accept: bytes) -> Context:
    assert POLICY is not None
    decision = decide(POLICY, Facts(b"GET", (ORIGIN.encode(),)))
    exchange = Exchange(b"4bf92f3577b34da6a3ce929d0e0e4736")
    return Context(b"GET", 1, persistent=True, cors=POLICY, decision=decision, exchange=exchange, accept=[accept])


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_answer_of_the_page_is_an_answer() -> None:
    head, _, body = problem_answer(context(b"*/*"), problems.UPSTREAM_REFUSED).to_bytes(DATE).decode().partition("\r\n\r\n")

    assert head.splitlines() == block("http").splitlines()
    assert json.loads(body) == json.loads(block("json"))


def test_the_text_of_the_page_is_one() -> None:
    assert problem_answer(context(b"text/plain"), problems.UPSTREAM_REFUSED).body.decode() == block("text")
