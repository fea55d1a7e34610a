"""Text of a table into columns, readings, loads and variants."""
