"""A CORS reverse proxy for legacy APIs: decides by one YAML policy, then moves bytes."""

__version__ = "0.1.0"
