"""Encoder, decoder, head."""
