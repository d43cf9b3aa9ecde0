"""Cross-validation: models trained without each fold of the pages, and what they find out of fold."""
