"""Commands about what runs in a cluster."""
