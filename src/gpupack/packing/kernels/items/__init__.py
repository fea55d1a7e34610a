"""Of the item engine: moves of local search, fillings, their pricing, and covers."""
