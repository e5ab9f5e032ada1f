"""What tests of the plan share: a client, and the ids that its exchange would get."""

from typing import Final

from corsproxy.plan import Connection, Fresh

CLIENT: Final = Connection("192.0.2.1")
FRESH: Final = Fresh(b"fresh-request-id", b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7")
