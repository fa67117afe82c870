"""Data that the stages hand to one another: frozen, without I/O, without behaviour.

Each submodule is imported by itself, when it is needed: one frozen dataclass
costs about a millisecond to define, and all of it is paid for inside a failing load.
"""
