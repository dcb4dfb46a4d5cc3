"""The raw data of a run: made, if the settings ask for a synthetic set, and looked for before the first stage.

Covers: the settings with the paths of the synthetic set, its planted truth, and missing files that later stages read.
Does not cover: the order of stages (pipeline/flow.py), reading ratings (pipeline/stages/ingest.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.running.execution import Execution
from funkflow.pipeline.settings.effective import on_synthetic
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.late import late
from funkflow.tasks.parsing.sources.sources import refuse_missing
from funkflow.tasks.storage import files

if TYPE_CHECKING:
    from funkflow.pipeline.stages import synthesise as synthesis
else:  # few runs make their ratings
    synthesis = late("funkflow.pipeline.stages.synthesise")


def raw_data(context: Context, execution: Execution) -> tuple[Settings, str]:
    """Make the synthetic set if the settings want one; return settings with its path, and its planted truth.

    Raises
    ------
    SettingsError
        There is nothing to read or to make.
    """
    settings, truth, reaches = execution.settings, "", execution.request.reaches
    if not settings.synth and not reaches("ingest"):
        raise SettingsError("the settings have no [synth] section; try funkflow synth demo")
    if settings.synth:
        raw = synthesis.synthesise(context, settings.synth)
        execution.result.paths["raw"] = raw.folder
        if settings.ingest.transform == "none":  # the planted model is in rating units
            truth = "" if settings.synth.moods else files.join(raw.folder, "truth")  # it knows no moods
        settings = on_synthetic(settings, raw.folder)
    if settings.split.kind == "file" and reaches("ingest"):
        refuse_missing(settings.split.file, "split.file (--validation)", settings.ingest.ratings)
    if settings.predict.pairs and reaches("predict"):
        refuse_missing(settings.predict.pairs, "predict.pairs (--pairs)")
    execution.read_inputs(settings)
    return settings, truth
