"""The back ends behind ``consumers.ports``; a driver is imported only in its own file here."""
