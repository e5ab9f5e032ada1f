"""What a difference does."""

from corsproxy.comparison.difference import Effect


def test_doubt_widens() -> None:
    assert [effect.value for effect in Effect if effect.widens] == ["widened", "may-widen"]
    assert [effect.value for effect in Effect] == ["widened", "may-widen", "narrowed", "changed"]
