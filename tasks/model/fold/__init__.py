"""The row of somebody or something new from a few ratings, with the rest of a model fixed.

Lives here: the problem of one row, its solution, and what rows of a side are like before any rating.
Does not: draws of such a row (tasks/model/draws/), look-ups of ids (tasks/model/items.py).
May import: tasks/kernels/, tasks/storage/, tasks/errors.py, tasks/transform.py.
"""
