"""Requests in flight: what is sent to a model, and by whom.

In: a model's signature, a load point, where inputs come from (``InputOptions``). Out:
a ``DrivenModel``, whose client process (``LoadProcess``) keeps so many requests in
flight, or a pace, and reports when each was answered.
"""
