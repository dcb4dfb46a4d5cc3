"""Files for other schedulers, without code of ours. Covers: examples. Does not cover: their use (docs/schedule.md)."""
