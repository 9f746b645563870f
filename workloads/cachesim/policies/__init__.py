"""Cache replacement policies: one a file, exact, over dense row ids and flat arrays.

`registry` names them without importing numba; `simulate` runs one over a trace; `plugin` loads a user's own.
"""
