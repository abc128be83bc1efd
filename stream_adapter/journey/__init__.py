"""One batch, in order: read, decoded, encoded, predicted, scored, learned, written; and what other workers learned."""
