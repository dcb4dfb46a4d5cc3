"""A comparison: several methods on one dataset and split, in a table and a page.

Lives here: the runs, their table, the page and its figures.
Does not: a single run (pipeline/flow.py).
May import: pipeline/flow.py and all below it.
"""
