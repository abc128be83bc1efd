"""The anchors: the truth about what was learned, what each adds, which are kept, and the search for the nearest."""
