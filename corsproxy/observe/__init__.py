"""The witness: what happened, for logs, metrics and people."""
