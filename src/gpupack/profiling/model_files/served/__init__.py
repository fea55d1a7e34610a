"""Code that runs in the models' Python, not in gpupack's: read a file, serve a file.

``describe`` is run by gpupack; the others travel into generated repositories. They need
nothing but the runtime that they are for, and run on every Python since 3.8.
"""
