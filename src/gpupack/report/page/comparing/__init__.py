"""Two placements compared: GPUs matched, moves counted, and what is told of them."""
