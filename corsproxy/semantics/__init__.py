"""What RFC 9110 and RFC 9112 say: pure functions on bytes."""
