"""A dashboard for Grafana, without code. Covers: data. Does not cover: the meaning of its series (docs/live.md)."""
