"""What runs: as it was seen, as it was checked, and how many GPUs would do for it."""
