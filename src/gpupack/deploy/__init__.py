"""Act: from a placement to running servers, and was it true?"""
