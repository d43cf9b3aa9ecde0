"""The network: encoders, decoders, heads and their loss."""
