"""The search: Ray Tune runs trials on long-lived Ray Train workers, Optuna proposes, Parquet keeps.

The only part of adasearch that imports ray. One search is one ``Tuner.fit()``; all studies share its slots.
"""
