"""The command line: `app.py` wires, one module per command, and the parts that they share."""
