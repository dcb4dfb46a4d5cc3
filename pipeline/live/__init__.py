"""The live page on the dashboard of Dask's scheduler, and its metrics: what is known of runs while they are at work.

Covers: story.py, what is known of one run; blocks.py, who works on which blocks; plugin.py, both within the scheduler;
page.py, with frame.py, curves.py, block_figure.py, panels.py and words.py, how they are shown; metrics.py, how
Prometheus reads them; headlines.py, the same in few numbers; drawing.py, errors in drawing; sending.py, how events get
there; routes.py, for those who start schedulers themselves.
Does not cover: the terminal (runtime/progress.py), the report of a run that is over (pipeline/report/).
"""
