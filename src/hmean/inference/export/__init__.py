"""Export: the network of a checkpoint as one file that runs without torch, checked against the checkpoint."""
