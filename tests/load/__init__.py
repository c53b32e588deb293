"""The bench: what a write and a read cost, measured with wrk from outside, and its own tests."""
