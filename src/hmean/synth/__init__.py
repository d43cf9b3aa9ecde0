"""Drawn receipts with exact labels."""
