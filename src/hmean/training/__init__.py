"""Training: the Lightning module, its callbacks, schedules and loggers."""
