"""Exceptions and warnings of the package.

Every message says what came, what was expected and what to try.
"""


class OneHotGLMError(Exception):
    """Base class of all errors that the package raises on purpose."""


class InvalidInputError(OneHotGLMError, ValueError):
    """An argument or an array does not fit what the function takes."""


class DataFileError(OneHotGLMError, OSError):
    """A file is missing, damaged, of another version, or lacks what was asked of it."""


class ConvergenceWarning(UserWarning):
    """A fit stopped before it met its tolerance, or a state stayed empty."""
