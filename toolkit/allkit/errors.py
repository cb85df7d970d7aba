"""The one public error of allkit."""


class AllkitError(Exception):
    """A foreseen failure: the message names the thing at fault and what to do next.

    The command line prints the message without a traceback and exits with status 2.
    """
