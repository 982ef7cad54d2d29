"""Training: losses, augmentation, the loop."""
