"""The demonstration community `tiebei`: made from a seed, loaded into a running system, and played for one day."""
