"""The ground floor: what every other package stands on.

Finding layers and the place of a gate, putting models and hooks back as they were, reading and
writing files, what logits say. It imports nothing else of the library.
"""
