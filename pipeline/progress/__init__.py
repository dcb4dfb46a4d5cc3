"""Progress: events of a run, and the displays made of them.

Lives here: events, the story they tell, lines, terminal, notebook, the metrics file, words and
colours; live/, the page on the dashboard.
Does not: reports of finished runs (pipeline/results/).
May import: tasks/.
"""
