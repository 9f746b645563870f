"""What runs under the Poplar SDK's own Python (3.8, torch 2.0): gathered into a folder beside the model's files.

Standard library, torch and poptorch alone, in syntax and calls of that age; `tests/devices/test_ipu_bundle.py` checks
it. `facts.py` answers the probe, `serve.py` is the process that trains and asks for `harness.devices.ipu_executor`.
"""
