"""Compiled loops over ratings and rows, their threads, and plain NumPy references that must agree with them.

Lives here: all that imports numba; tiles, threads and buffers; reference.py, the plain reference of each kernel;
ingest/, the loops over raw text.
Does not: files, shards and blocks (tasks/grid/).
May import: nothing else of tasks/.
"""
