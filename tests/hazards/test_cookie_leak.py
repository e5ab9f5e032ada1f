"""
The danger: what belongs to one user reaches another.

Fifty users, each with cookies, credentials and ids in every part of the message, on shared upstream connections.
"""

import asyncio
import random
from collections import Counter

from tests.conftest import ProxyFactory
from tests.harness import Client, Proxy, Request, Upstream, get, ok, policy, put, route

USERS = 50
ROUNDS = 200  # 50 x 200 = 10 000 exchanges


def echo(request: Request) -> bytes:
    """Say back every id that came, and set a cookie as a login would."""
    user = request.value(b"x-user") or b"nobody"
    lines = [b"Set-Cookie: sid=%b; Path=/" % user, b"Set-Cookie: seen-%b=1" % user, b"ETag: " + user]
    lines += [b"X-Saw-%b: %b" % (name, value) for name, value in request.without(b"host", b"content-length")]
    return ok(b"%b|%b" % (request.target, request.body), *lines)


async def use(client: Client, user: int, rounds: int, leaks: Counter[str]) -> None:
    mine = b"user%03d" % user
    for number in range(rounds):
        target = b"/%b/%d?id=%b" % (mine, number, mine)
        lines = [b"X-User: " + mine, b"Cookie: sid=%b-cookie" % mine, b"Authorization: Bearer %b-token" % mine]
        is_upload = (user + number) % 3 == 0
        body = b"%b-body-%d" % (mine, number) if is_upload else b""
        await client.send(put(body, *lines, target=target) if is_upload else get(target, *lines))
        got = await client.read_response(judge=not number)
        leaks["exchanges"] += 1
        leaks["wrong answer"] += got.body != target + b"|" + body
        leaks["wrong cookie"] += got.values(b"x-saw-cookie") != [b"sid=%b-cookie" % mine]
        leaks["wrong credentials"] += got.values(b"x-saw-authorization") != [b"Bearer %b-token" % mine]
        leaks["wrong set-cookie"] += got.values(b"set-cookie") != [b"sid=%b; Path=/" % mine, b"seen-%b=1" % mine]
        # Every "userNNN" anywhere in the answer is this one.
        leaks["stranger"] += got.raw.count(b"user") != got.raw.count(mine)


async def test_nothing_of_fifty_interleaved_users_leaks(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(echo, judge=False)
    leaks: Counter[str] = Counter()
    clients = [await front.connect() for _ in range(USERS)]
    await asyncio.gather(*(use(client, user, ROUNDS, leaks) for user, client in enumerate(clients)))

    assert +leaks == Counter(exchanges=USERS * ROUNDS)
    assert front.pool.reuses >= USERS * ROUNDS - 2 * USERS, "the users did share connections"


async def test_a_cookie_that_was_set_is_not_sent_for_the_next_user(front: Proxy, upstream: Upstream) -> None:
    """The upstream's Set-Cookie is the client's business alone."""
    upstream.serve(echo)
    alice, bob = await front.connect(), await front.connect()
    await alice.ask(get(b"/login", b"X-User: alice"))
    got = await bob.ask(get(b"/", b"X-User: bob"))
    third = await alice.ask(get(b"/", b"X-User: alice"))

    assert upstream.connections == 1
    assert got.values(b"x-saw-cookie") + third.values(b"x-saw-cookie") == []


async def test_cookies_arrive_byte_for_byte(front: Proxy, upstream: Upstream) -> None:
    """Not parsed, not joined, not sorted, not quoted."""
    upstream.serve(echo)
    client = await front.connect()
    lines = [b'a=1; b="x, y"; $Version=1;;; =; a=2', b"\xe9=\xff", b"c"]
    got = await client.ask(get(b"/", *(b"Cookie: " + line for line in lines)))

    assert got.values(b"x-saw-cookie") == lines


async def test_one_clients_pipelined_users_are_not_mixed(front: Proxy, upstream: Upstream) -> None:
    """A load balancer in front puts many users on one connection."""
    upstream.serve(echo)
    client = await front.connect()
    users = [b"user%03d" % number for number in range(100)]
    random.Random(1).shuffle(users)
    await client.send(b"".join(get(b"/" + user, b"X-User: " + user, b"Cookie: sid=" + user) for user in users))
    for user in users:
        got = await client.read_response()
        assert got.values(b"x-saw-cookie") == [b"sid=" + user]
        assert got.raw.count(b"user") == got.raw.count(user)


async def test_a_decision_about_one_user_is_not_the_next_ones(proxy: ProxyFactory, upstream: Upstream) -> None:
    """Interleaved allowed, refused and originless requests on one connection: each gets its own answer."""
    front = await proxy(route(upstream, cors=policy("https://a.example", "https://b.example", allow_credentials=True)))
    upstream.serve(echo)
    client = await front.connect()
    chooser = random.Random(2)
    for _ in range(300):
        origin = chooser.choice([b"https://a.example", b"https://b.example", b"https://evil.example", b""])
        got = await client.ask(get(b"/", *([b"Origin: " + origin] if origin else [])))
        allowed = origin in (b"https://a.example", b"https://b.example")
        assert got.cors.get(b"access-control-allow-origin") == (origin if allowed else None)
        assert got.status == (403 if b"evil" in origin else 200)
