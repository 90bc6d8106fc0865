"""Example values for the documentation, in one place so that all of them tell of the same tracks.

The performances are those of the demo catalogue, so that a request from the documentation page is
answered there; the numbers only show the form. ``docs/service.md`` has whole answers.
"""

from __future__ import annotations

ENCODER_ID = "coverdex-64-b5b5a6bb3a27"
PERFORMANCE_ID = "P_100101"
OTHER_PERFORMANCE_ID = "P_100102"
WORK_ID = "W_1001"
EMBEDDING = [round(0.125 * (-1) ** (i // 3), 3) for i in range(64)]
#: Three frames: A minor, then E major, as bins from A upward.
HPCP = [
    [1.0, 0.0, 0.02, 0.71, 0.0, 0.0, 0.08, 0.64, 0.0, 0.01, 0.0, 0.03],
    [0.94, 0.0, 0.04, 0.75, 0.0, 0.0, 0.05, 0.7, 0.0, 0.0, 0.0, 0.02],
    [0.1, 0.0, 0.66, 0.03, 0.0, 0.02, 0.0, 1.0, 0.0, 0.0, 0.0, 0.58],
]
FRAME_RATE = 86.1328125
TITLE = "The Blooming Meadows. 2nd Setting"
ARTIST = "Francis O'Neill"
METADATA = {"collection": "O'Neill's Music of Ireland", "key": "D major", "year": 1903}
