"""docs/learn.md shows what `corsproxy learn` writes."""

from pathlib import Path

from corsproxy.learning.learned import Run, learned
from tests.unit.learning.seen import Seen

PAGE = Path(__file__).parents[2] / "docs" / "learn.md"


def test_the_file_that_it_shows_is_what_is_written() -> None:
    seen = Seen()
    for number in range(12):
        seen.call(b"GET", answered=((b"X-Total-Count", b"3"), (b"ETag", b'"1"')))
        if number < 3:
            seen.preflight(b"PUT", b"content-type", b"x-request-source")
            seen.call(b"PUT", (b"Cookie", b"session=1"))
    seen.preflight(b"PATCH")
    seen.call(b"PATCH", status=405)
    seen.call(origin=b"null")

    assert f"```yaml\n{learned(seen.evidence, Run('http://localhost:9000', 600))}```" in PAGE.read_text()
