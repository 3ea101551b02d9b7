"""The reference's recorded cases, and how they are put to the engine."""
