"""Simulated covers of symbolic music: see :mod:`.cover` for the whole, the others for its parts."""

from .cover import CoverSimulator, SimulatorConfig, mask_frames
from .instruments import InstrumentEffects
from .recording import AcousticEffects
from .settings import simulator_config
from .timeline import TimelineEffects

__all__ = [
    "AcousticEffects",
    "CoverSimulator",
    "InstrumentEffects",
    "SimulatorConfig",
    "TimelineEffects",
    "mask_frames",
    "simulator_config",
]
