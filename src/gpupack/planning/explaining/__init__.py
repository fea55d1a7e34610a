"""What binds, what proves it, and which single changes would help.

In: a placement's question. Out: sentences with numbers, and changes that were asked
again.
"""
