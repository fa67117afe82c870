"""Words for people and machines: events, diagnoses and outcomes in, lines out. Nothing here decides anything."""
