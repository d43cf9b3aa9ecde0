"""Tuning of post-processing parameters on cached maps."""
