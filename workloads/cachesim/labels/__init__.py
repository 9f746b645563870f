"""Labels of OPT: for each request, whether the best cache keeps its row until the next use. What caching models learn.

`make` finds them, `files` keeps them as npz, `text` as RecMG's text files.

labels = read_labels(Path("lookups.labels.npz"))
"""
