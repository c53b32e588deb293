"""Everything HTTP: the server, its credentials, routes and rendering, and the command line."""

__version__ = "0.1.0"
