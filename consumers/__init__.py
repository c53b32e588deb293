"""Everything behind the command log: ports, the apply loop, back ends, settings and metrics."""
