"""The schema of the config, and how it is composed."""
