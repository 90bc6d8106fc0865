"""A benchmark from a specification to a report, and two of them compared.

:class:`~coverdex.benchmarks.report.spec.Spec` says what is run, :mod:`.run` runs it, :mod:`.page`
writes the page, :mod:`.comparison` sets two runs against each other.
"""
