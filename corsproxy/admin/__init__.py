"""The admin listener: health, readiness, metrics, a reload, what is in force."""
