"""The report: one HTML file about a run.

Lives here: the page and its sections, charts and their axes, words for values, the page of all runs.
Does not: the numbers (pipeline/stages/report.py).
May import: tasks/.
"""
