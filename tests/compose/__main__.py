"""Makes the images that these tests need, before they are run: `python -m tests.compose`."""

import signal
import sys
import tempfile
from pathlib import Path

from tests.compose.standins import built

if __name__ == "__main__":
    # The engine is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as name, built(Path(name)):
        pass
