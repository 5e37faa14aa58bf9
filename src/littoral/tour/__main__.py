"""``python -m littoral.tour``."""

import sys

from littoral.tour.main import run

sys.exit(run(sys.argv[1:]))
