"""Whether a client would rather read plain text than JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corsproxy.semantics.accept import MAX_BYTES, prefers_text, worth_keeping

CHROMIUM = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([b"text/plain"], id="nothing else is wanted"),
        pytest.param([CHROMIUM], id="a page in a browser"),
        pytest.param([b"text/html"], id="a page, for which text stands"),
        pytest.param([b"text/*"], id="any text"),
        pytest.param([b"TEXT/Plain"], id="types have no case"),
        pytest.param([b"text/plain;charset=utf-8"], id="the charset that is there"),
        pytest.param([b'text/plain; Charset="UTF-8"; q=0.5'], id="the same, quoted, with a weight behind"),
        pytest.param([b"application/json;q=0.9, text/plain"], id="a weight of 1 is no word"),
        pytest.param([b"application/json;q=0.998,text/plain;q=0.999"], id="three digits count"),
        pytest.param([b"application/json;q=0.5", b"text/plain;q=0.6"], id="two lines are one list"),
        pytest.param([b"*/*;q=0.1, text/plain;q=0.2"], id="what is named before what is not"),
        pytest.param([b"*/*, application/json;q=0.5"], id="a named one that is liked less than the rest"),
        pytest.param([b"application/problem+json;q=0, application/json, text/plain;q=0.1"], id="what is named most exactly counts"),
        pytest.param([b"application/json;version=2, text/plain;q=0.1"], id="a form that is not there"),
        pytest.param([b"text/plain ;q=0.5 , application/json\t;\tq=0.4"], id="space where it may be"),
        pytest.param([b",, text/plain;; ,"], id="empty elements and parameters"),
        pytest.param([b"text/plain;q=0.2, text/plain, application/json;q=0.5"], id="named twice: the better"),
        pytest.param([b"text/plain;q=1.000;level=1, text/html;q=1."], id="a weight in front, and one without digits"),
    ],
)
def test_plain_text_is_preferred(values: list[bytes]) -> None:
    assert prefers_text(values)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="no Accept"),
        pytest.param([b""], id="an empty one"),
        pytest.param([b" \t"], id="nothing but space"),
        pytest.param([b"*/*"], id="a script"),
        pytest.param([b"application/json, text/plain, */*"], id="axios: a tie"),
        pytest.param([b"application/problem+json"], id="problem details"),
        pytest.param([b"application/*, text/*;q=0.9"], id="any application"),
        pytest.param([b"image/avif,image/webp,image/*,*/*;q=0.8"], id="an image"),
        pytest.param([b"image/png"], id="neither is wanted"),
        pytest.param([b"text/event-stream"], id="an event stream"),
        pytest.param([b"text/plain;q=0"], id="text is refused"),
        pytest.param([b"text/*, text/plain;q=0, application/json;q=0.1"], id="text is refused, by name"),
        pytest.param([b"text/plain;charset=utf-16"], id="another charset"),
        pytest.param([b"text/plain;format=flowed"], id="another form of it"),
    ],
)
def test_json_is_given_where_text_is_not_liked_better(values: list[bytes]) -> None:
    assert not prefers_text(values)


@pytest.mark.parametrize(
    "value",
    [
        b"text",
        b"text/",
        b"/plain",
        b"text/plain text/html",
        b"text/plain;q",
        b"text/plain;q=",
        b"text/plain;q=2",
        b"text/plain;q=1.1",
        b"text/plain;q=0.0001",
        b"text/plain;q=.5",
        b"text/plain;q=-1",
        b'text/plain;q="0.5"',
        b"text/plain;q=0.5;q=0.4",
        b"text/plain;q =0.5",
        b'text/plain;a="b',
        b'text/plain;a="b\x00"',
        b"text/plain\x00",
        b"text/plain;charset=utf-8\xff",
        b"te xt/plain",
        b"text/plain;" + b"a=b;" * 300,
    ],
)
def test_what_does_not_parse_is_no_wish(value: bytes) -> None:
    assert not prefers_text([value])
    assert not prefers_text([b"text/html", value]), "a list is read as a whole"


def test_a_list_up_to_the_bound_is_read() -> None:
    padding = b", text/html" * 90

    assert len(b"text/plain" + padding) <= MAX_BYTES
    assert prefers_text([b"text/plain" + padding])


def test_what_is_too_long_to_be_read_is_not_kept() -> None:
    assert worth_keeping([b"a" * MAX_BYTES]) == [b"a" * MAX_BYTES]
    assert worth_keeping([b"a" * MAX_BYTES, b"b"]) == ()


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_nothing_that_a_client_sends_raises(values: list[bytes]) -> None:
    assert prefers_text(values) in (True, False)


@given(st.lists(st.sampled_from([b"text/plain", b"text/html", b"*/*", b"application/json", b"a/b"]), min_size=1, max_size=5), st.data())
def test_the_order_of_a_list_is_no_wish(ranges: list[bytes], data: st.DataObject) -> None:
    """RFC 9110 12.5.1 ranks by weight and by how exact a range is, never by place."""
    weighted = [b"%b;q=0.%d" % (each, data.draw(st.integers(0, 9))) for each in ranges]
    shuffled = data.draw(st.permutations(weighted))

    assert prefers_text([b",".join(weighted)]) == prefers_text([b",".join(shuffled)])
