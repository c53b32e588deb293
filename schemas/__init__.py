"""Everything that can be computed without waiting: SCIM semantics, commands, decisions, events and their codec.

Standard library and msgspec only; no await, clock, randomness, environment or logging.
"""
