"""What others measured: readers of tables and other tools' exports."""
