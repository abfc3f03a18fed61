"""A local Cloud Run, for people and for tests: see `CloudRun`."""

from pilothouse.simulation.cloud_run import CloudRun
from pilothouse.simulation.events import Event
from pilothouse.simulation.instances import Instance
from pilothouse.simulation.options import Options

__all__ = ["CloudRun", "Event", "Instance", "Options"]
