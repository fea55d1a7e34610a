"""Whether what sources say agrees: repeats of a measurement, units of memory."""
