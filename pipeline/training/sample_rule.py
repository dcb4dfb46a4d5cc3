"""The rule by which a training for rankings measures them after each epoch.

Covers: whether it does, from the settings; the numbers of the rule.
Does not cover: choosing the users and their lists (tasks/serving/rank_sample.py), the loop (methods/als.py).
"""

from __future__ import annotations

from funkflow.pipeline.root.manifests import Dataset
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.serving.rank_part import least_relevant
from funkflow.tasks.serving.rank_sample import SampleRule, users_to_sample


def sample_rule(dataset: Dataset, settings: Settings) -> SampleRule | None:
    """Return the rule; None where training does not stop by an NDCG.

    What is relevant is so for the ranking of the finished model too.
    """
    chosen, transform = settings.ranking, settings.ingest.transform
    if settings.train.stops_by != "ndcg":
        return None
    threshold = least_relevant(dataset.bounds, dataset.counts, chosen.threshold, transform)
    return SampleRule(chosen.count, threshold, users_to_sample(dataset.items), settings.train.seed)
