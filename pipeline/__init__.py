"""Which task runs when, where, and within which memory.

Lives here: flow.py, the whole run; cli.py, the command; a folder for each layer between them.
Does not: the work of a task (tasks/).
May import: Dask, and everything in tasks/. Imports between its folders go down (FLOORS in the architecture test).
"""
