"""What a user sees of a run: widgets, progress, previews."""
