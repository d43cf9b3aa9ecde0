"""Campaigns: the phases and gates of a file, each some hmean commands, resumable, within a budget."""
