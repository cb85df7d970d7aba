"""The one public error of allkit, and the words for those of the system."""


class AllkitError(Exception):
    """A foreseen failure: the message names the thing at fault and what to do next.

    The command line prints the message without a traceback and exits with status 2.
    """


def reason(error: Exception) -> str:
    """What the system says of a failure, without its number and path; of any other error, its own words."""
    return getattr(error, "strerror", None) or str(error)
