"""The demo catalogue: 66 traditional tunes in 140 settings, played, recorded and analysed by us.

``catalogue.parquet`` is what ``open_catalogue("demo")`` opens. The modules here make it, one step
each::

    tunes -> notation -> arrangement -> performance -> synthesis -> hpcp -> render

where a performance plays melody and accompaniment, and harmony finds the chords for it.
They need the extra ``demo-render`` and FluidSynth; reading the catalogue needs none of them.
``README.md`` names versions, soundfonts, licences and the command.
"""

from __future__ import annotations

from ..catalogue import demo_catalogue_path

__all__ = ["demo_catalogue_path"]
