"""The command line: `python -m magi_core`."""
