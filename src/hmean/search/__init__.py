"""Sweeps: the sweep file, proposals and trials."""
