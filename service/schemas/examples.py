"""Example values for the documentation, in one place so that all of them tell of the same tracks.

They show the form of things and are made up; ``docs/service.md`` has answers of a real index.
"""

from __future__ import annotations

ENCODER_ID = "siamese-cnn-aee0851169a9"
PERFORMANCE_ID = "P_22"
OTHER_PERFORMANCE_ID = "P_23"
WORK_ID = "W_14"
EMBEDDING = [round(0.125 * (-1) ** (i // 3), 3) for i in range(64)]
#: Three frames: A minor, then E major, as bins from A upward.
HPCP = [
    [1.0, 0.0, 0.02, 0.71, 0.0, 0.0, 0.08, 0.64, 0.0, 0.01, 0.0, 0.03],
    [0.94, 0.0, 0.04, 0.75, 0.0, 0.0, 0.05, 0.7, 0.0, 0.0, 0.0, 0.02],
    [0.1, 0.0, 0.66, 0.03, 0.0, 0.02, 0.0, 1.0, 0.0, 0.0, 0.0, 0.58],
]
FRAME_RATE = 86.1328125
METADATA = {"collection": "O'Neill 1903", "key": "Edor", "year": 1903}
