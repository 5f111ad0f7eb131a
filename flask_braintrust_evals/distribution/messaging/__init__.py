"""The messages between owners and workers, and how they travel."""
