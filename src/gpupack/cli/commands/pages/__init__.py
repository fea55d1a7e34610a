"""Commands whose outcome is a page: reports, comparisons, and questions."""
