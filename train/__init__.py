"""Train and judge classifiers of the 14 CheXpert observations; the result is a bundle that the app reads."""
