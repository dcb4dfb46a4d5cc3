"""Results as people read them: tables, plots and pages.

Lives here: tables of a result and of a plan, plots for notebooks, saved reports; report/, the page of a run;
comparison/, of several.
Does not: the page of a run at work (pipeline/progress/live/).
May import: pipeline/planning/, pipeline/root/, pipeline/progress/, tasks/; comparison/ also pipeline/flow.py.
"""
