"""Ten million images on many machines: Ray Data with a classifier in each worker."""

import os

# Both are read when Ray is imported. It tells its makers of each use, unless it is told not to, and calls what its own
# operators do errors (ray issue 53727); what ends a job is raised.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
