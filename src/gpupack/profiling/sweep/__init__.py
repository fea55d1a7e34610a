"""Every model alone, at every load point, nothing lost.

In: what ``gpupack.profile`` takes. Out: a ``ProfileSet``, of what was measured now and
of what the store held already; the article's tables where they are asked for.
"""
