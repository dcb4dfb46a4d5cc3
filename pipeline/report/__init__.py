"""The page about a run: what its facts say, as one file that needs nothing else.

Covers: page.py, the page of one run or of several; sections.py, errors.py, its parts; charts.py, their figures;
scales.py, the arithmetic of axes; style.py, how all of it looks; index.py, the page of all executions.
Does not cover: the facts (stages/report.py), the page while a run is at work (live/).
"""
