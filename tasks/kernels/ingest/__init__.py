"""Compiled loops of ingest: over the bytes of raw text, and over the rows of a part.

Lives here: reading plain lines of numbers and days, sorting rows by counting.
Does not: which text has such lines (tasks/parsing/rows/plain_lines.py), what the orders are for (tasks/dataset/).
May import: tasks/kernels/cache.py, tasks/mix.py.
"""
