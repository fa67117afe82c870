"""The journal: every decision with its facts, one JSON line an event.

``writer`` is imported inside a failing load and imports next to nothing;
``reader`` serves the command line.
"""
