"""Names of journal events (CONTRACT.md, Journal). The schema is in ``dlrepair/journal/schema.json``."""

SCHEMA_VERSION = 1

EVENTS = (
    "load-failed", "diagnosed", "candidate", "repair-tried", "repair-failed", "load-repaired", "load-unrepaired",
    "reexec", "learned", "build-started", "build-finished", "trust-refused", "internal-error",
)  # fmt: skip
