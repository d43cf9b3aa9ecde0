"""Trained models, from checkpoints or exported files, and what they find."""
