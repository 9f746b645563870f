"""Widgets that draw immutable values: no SQL, no processes, no sockets in here."""
