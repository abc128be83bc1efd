"""The search for the nearest anchors: exact, by a graph (HNSW), and the choice between them."""
