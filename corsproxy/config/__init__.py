"""The configuration file: YAML with positions in, frozen settings or located diagnostics out."""
