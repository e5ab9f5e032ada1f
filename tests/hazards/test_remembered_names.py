"""
The danger: a peer makes names up, long ones, and whatever remembers names to be fast grows with each.

The promise: what is remembered of names is bounded in number and in bytes, and a made-up name is judged all the same.
"""

from corsproxy import problems
from corsproxy.semantics.rules import MAX_LEARNED, MAX_LEARNED_BYTES, compile_rules
from tests.harness import Proxy, Upstream, get, ok


def test_rules_remember_few_and_short_names() -> None:
    rules = compile_rules(remove=[b"X-Debug"])
    for number in range(3 * MAX_LEARNED):
        rules.apply([(b"%d" % number + b"a" * 60_000, b""), (b"x-%d" % number, b"")])

    assert len(rules.learned) == MAX_LEARNED
    assert max(map(len, rules.learned)) <= MAX_LEARNED_BYTES


def test_names_too_long_or_too_many_to_be_remembered_are_judged() -> None:
    name = b"X-" + b"Debug-" * 20
    rules = compile_rules(remove=[name])
    for number in range(MAX_LEARNED):
        rules.apply([(b"x-%d" % number, b"")])

    for spelled in (name, name.lower(), name.replace(b"-", b"_")):
        assert rules.apply([(spelled, b"1"), (b"X-Other", b"2")]) == [(b"X-Other", b"2")]


async def test_a_notice_says_no_more_than_the_beginning_of_a_long_name(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(lambda _: ok(b"", b"Set-Cookie: " + b"a" * 4000 + b"=1; SameSite=None"))
    assert (await front.ask(get())).status == 200
    ((notice,),) = [record.notices for record in await front.recorded()]

    assert notice.problem is problems.COOKIE_DROPPED
    assert max(len(notice.subject), len(notice.text)) < 200
