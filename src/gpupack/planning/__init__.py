"""Translate: records and a request into packing problems, and back, offline.

In: a ``ProfileSet`` and a ``Request``. Out: a ``Placement`` (``place``), a ``Frontier``
(``frontier``) or an ``Explanation`` (``explain``), each checked against the records.
"""
