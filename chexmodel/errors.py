"""The errors that this project raises on purpose.

Every message says what is wrong, where, and what to do next. The pages and the command lines catch
`ChexError` alone; anything else is a defect of ours and may surface as one.
"""


class ChexError(Exception):
    """Base of all expected errors."""


class ImageError(ChexError):
    """A picture that can't be read, or that must not be."""


class DatasetError(ChexError):
    """A label table, an image folder or a policy that does not fit."""


class BundleError(ChexError):
    """A model directory that is missing, incomplete, damaged or of another format."""
