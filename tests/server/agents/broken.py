"""A graph file that can't be imported."""

raise RuntimeError("this file is broken")
