"""Results as people read them: tables, plots and pages.

Lives here: tables of a result, plots for notebooks, saved reports; report/, the page of a run; comparison/, of several.
Does not: the page of a run at work (pipeline/progress/live/).
May import: pipeline/root/, pipeline/progress/, tasks/; comparison/ also pipeline/flow.py.
"""
