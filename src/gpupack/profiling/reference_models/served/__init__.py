"""Code that runs in the models' Python, not in gpupack's: it travels into repositories.

It needs NumPy and the driver's ``libcuda.so.1`` alone, and runs on every Python since
3.8.
"""
