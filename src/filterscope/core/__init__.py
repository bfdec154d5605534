"""The ground floor: what every other package stands on.

Finding layers, putting models and hooks back as they were, writing files that survive a crash,
and the base of result objects. It imports nothing else of the library.
"""
