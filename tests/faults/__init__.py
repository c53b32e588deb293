"""Faults: what clients recorded while the server was killed, starved and restarted, and whether the promise held."""
