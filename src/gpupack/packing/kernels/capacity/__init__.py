"""Of the capacity engine: pricing of patterns, refilling of bins, minimum slack."""
