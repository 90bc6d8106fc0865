"""Tunes over one harmony: contrafacts, and songs that are charted under two titles.

Jazz musicians write new melodies over the chords of old songs: "Ornithology" is "How High the Moon"
with another tune. In a chord chart nothing is left of the difference, so two such works as
negatives of each other would teach the network to tell equal chords apart. They stay works of their
own, with covers of their own, and merely never share a batch (:mod:`.sampler`).

The table is of well-known cases alone, and leaves out tunes over a twelve-bar blues: there are too
many of them, and their chords differ more.
"""

from __future__ import annotations

from .same_titles import plain_title

_ONE_HARMONY = (
    # Over the chords of "I Got Rhythm".
    (
        "I Got Rhythm", "Oleo", "Anthropology", "Cotton Tail", "Moose the Mooche", "Rhythm-a-Ning",
        "Lester Leaps In", "The Eternal Triangle", "Dexterity", "Salt Peanuts", "Shaw 'Nuff",
        "Passport", "Steeplechase", "Crazeology", "Celerity", "Red Cross", "The Theme",
        "An Oscar for Treadwell", "The Serpent's Tooth", "Seven Come Eleven", "Flintstones",
        "Meet the Flintstones", "52nd Street Theme",
    ),
    ("How High the Moon", "Ornithology", "Satellite"),
    ("Indiana", "Back Home Again in Indiana", "Donna Lee"),
    ("All the Things You Are", "Prince Albert", "Bird of Paradise", "Ablution"),
    ("What Is This Thing Called Love", "Hot House", "Subconscious-Lee"),
    ("Sweet Georgia Brown", "Bright Mississippi", "Dig"),
    ("Cherokee", "Ko-Ko"),
    ("Lady Bird", "Half Nelson"),
    ("Honeysuckle Rose", "Scrapple from the Apple", "Marmaduke"),
    ("Out of Nowhere", "Nostalgia"),
    ("Embraceable You", "Quasimodo"),
    ("Just You, Just Me", "Evidence"),
    ("Confirmation", "26-2"),
    ("Tune Up", "Countdown"),
    ("Whispering", "Groovin' High"),
    ("Blue Skies", "In Walked Bud"),
    ("Oh, Lady Be Good", "Lady Be Good", "Hackensack"),
    ("Rose Room", "In a Mellow Tone", "In a Mellotone"),
    ("So What", "Impressions"),
    ("Lover, Come Back to Me", "Bird Gets the Worm"),
    ("Ja-Da", "Doxy"),
    # One song under two titles.
    ("Solitude", "In My Solitude"),
    ("I Can't Get Started", "I Can't Get Started with You"),
    ("I Found a New Baby", "I've Found a New Baby"),
    ("Segment", "Diverse"),
)  # fmt: skip

#: Plain title to the plain title of the first tune of its row.
_FIRST = {
    plain_title(title.replace("-", "")): plain_title(row[0])
    for row in _ONE_HARMONY
    for title in row
}


def harmony_of(title: str) -> str:
    """Name the tune whose chords a tune has; itself, where nothing else is known.

    Parameters
    ----------
    title : str
        As :func:`~.same_titles.plain_title` gives it.

    >>> harmony_of("ornithology"), harmony_of("stardust")
    ('howhighthemoon', 'stardust')
    """
    return _FIRST.get(title, title)
