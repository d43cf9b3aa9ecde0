"""The phases and gates of a campaign."""
