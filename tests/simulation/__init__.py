"""The real decide and worker code on a fake log, store and clock: random faults, printed seeds (``faults.md``)."""
