"""From immutable snapshots to rows and plots: pure functions, tested without a terminal."""
