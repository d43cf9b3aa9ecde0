"""Metrics: CLEval, IoU, and scores over sets of pages."""
