"""The report: one HTML file about a run.

Lives here: the facts, the page and its sections, charts and their axes, the page of all runs.
Does not: the tasks that measure (pipeline/stages/report.py).
May import: tasks/.
"""
