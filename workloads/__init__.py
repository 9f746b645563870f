"""What is measured: one folder per workload, each with a torch-free `config.py` beside its code."""
