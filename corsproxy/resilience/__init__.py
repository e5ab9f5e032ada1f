"""Rules for when things go wrong: pure, with an injected clock."""
