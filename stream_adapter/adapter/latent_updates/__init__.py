"""Localized Latent Updates as published: a learner like any other, and the measure of locality."""
