"""The live page on the dashboard of Dask's scheduler, and its Prometheus metrics.

Lives here: the scheduler plugin for events, the page and its figures, the routes of both.
Does not: the terminal (pipeline/progress/), the report of a finished run (pipeline/results/report/).
May import: pipeline/progress/.
"""
