"""Found by a Python whose PYTHONPATH leads here: its ``time.time`` is ahead by LITTORAL_DRILL_SKEW seconds.

Not libfaketime: that one slows down every hand-over of the interpreter lock, so that alarms would be late of it.
"""

import os
import time

real = time.time
AHEAD = float(os.environ.get("LITTORAL_DRILL_SKEW", "0"))


def ahead() -> float:
    return real() + AHEAD


time.time = ahead
