"""What lies in a run folder: every file is one record."""
