"""What the titles of columns mean."""
