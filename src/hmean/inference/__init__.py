"""Trained models, from checkpoints or exported models, and what they find on pages."""
