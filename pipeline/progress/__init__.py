"""Progress: events of a run, and their displays.

Lives here: events, the state of a run, lines, terminal, notebook, the metrics file, words and colours; live/, the page
on the dashboard.
Does not: reports of finished runs (pipeline/results/).
May import: tasks/.
"""
