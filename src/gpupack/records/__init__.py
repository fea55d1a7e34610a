"""What is known: frozen, validated records that cross process and file boundaries."""
