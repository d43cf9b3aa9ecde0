"""Labels, images, views, targets and loaders."""
