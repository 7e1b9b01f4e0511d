"""The version, in a room of its own: what needs it must not import the whole package."""

__version__ = "0.1.0"
