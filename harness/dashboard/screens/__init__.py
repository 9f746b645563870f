"""One screen a file; `harness.dashboard.app.SCREENS` names them, and nothing is imported before it is shown."""
