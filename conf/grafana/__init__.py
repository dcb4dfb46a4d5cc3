"""A dashboard for Grafana, no code. Covers: nothing by itself. Does not cover: what its series mean (docs/live.md)."""
