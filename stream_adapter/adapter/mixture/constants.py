"""The method's constants, as docs/method.md lists them. Those of weights are in `anchors/weights.py`."""

# Student's t around class means, formula (3): ν degrees of freedom, in n dimensions that count.
FREEDOM = 10.0
DIMENSIONS = 26.0
# An unlabelled class, or one that labelled events explain wholly, is half believed with so many events; formula (2).
WORTH = 5.0
# Labels or events that half convince of a mean and of a purity; formulas (2) and (4).
FEW = 2.5
# κ: a class of which the traffic shows less than this share of all events is doubted; formula (4).
KAPPA = 0.002
# How fast unlabelled classes fade beside each other with their square distance; f in formula (2).
FADE = 5.0
# The full model's say where it overrules zero-shot and no label has checked it yet; h in formula (2).
UNCHECKED = 0.25
# How many pictures the sphere weighs towards which the within-class covariance is shrunk.
SPHERE = 300.0
# What the variance within classes is before any traffic.
SPREAD = 0.25

# Not tuned: what follows from those above, bounds and accuracies.
PRIOR = DIMENSIONS  # that variance weighs as many pictures as there are dimensions that count
DIRECTIONS = 32  # leading directions of the traffic
ROUNDS = 20  # of expectation maximisation for label shift
RATIO_LIMIT = 12.0  # of a log ratio; one in a hundred events reaches it
TAKES_PART = 0.02  # g from which on a class takes part
LEAST_MASS = 0.5  # events' worth of belief from which on a class has a mean of traffic
OWN_TRAFFIC = 2.0  # a labelled class explains at most so many times its own traffic
COPY = 0.1  # weight below which an event leaves the window before older ones
