"""The HTML page: what it shows, and its rendering."""
