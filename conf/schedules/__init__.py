"""Files for other schedulers, no code. Covers: nothing by itself. Does not cover: what each does (docs/schedule.md)."""
