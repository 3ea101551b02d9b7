"""Files from outside, looked at before they are opened: regular files of a bounded size, JSON of a bounded depth."""
