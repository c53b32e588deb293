"""Everything behind the command log: ports, the apply loop, settings, metrics, and the back ends that keep state."""
