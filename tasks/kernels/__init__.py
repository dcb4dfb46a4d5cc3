"""Compiled loops over ratings and rows, their threads, and the plain NumPy code that they must agree with.

Lives here: all that imports numba; tiles, threads and buffers; reference.py, the obvious twin of each kernel.
Does not: files, shards and blocks (tasks/grid/).
May import: nothing else of tasks/.
"""
