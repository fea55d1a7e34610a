"""Look: records as text, Markdown, HTML and figures."""
