"""The running process: its settings, its parts, its jobs and stages."""
