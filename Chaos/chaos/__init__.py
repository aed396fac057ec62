"""Chaos on real processes: three servers, hundreds of players, faults from one seed, and an audit at the end."""
