"""``python -m littoral`` is the ``littoral`` command."""

import sys

from littoral.cli.main import main

sys.exit(main())
