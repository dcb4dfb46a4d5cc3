"""The live page on the dashboard of Dask's scheduler, and its Prometheus metrics.

Lives here: the scheduler plugin that collects events, the page and its figures, the routes that serve both.
Does not: the terminal (pipeline/progress/), the report of a finished run (pipeline/results/report/).
May import: pipeline/progress/.
"""
