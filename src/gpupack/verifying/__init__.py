"""Act: run a placement on real hardware; does it hold, and what does sharing cost?"""
