"""How a table is laid out in a file: separators, lines, objects."""
