"""Many loops: a manifest of jobs, run by Ray Data, resumable."""
