"""Everything HTTP: the server, its credentials, routes and rendering, and the command line."""
