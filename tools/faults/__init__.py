"""Faults made on purpose: renders that are killed, disks that are full. `python -m tools.faults --kills 200`."""
