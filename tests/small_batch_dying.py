"""Work whose process dies before it is ready."""

from __future__ import annotations

import os
import signal
from typing import Any


class Dies:
    def __init__(self, **options: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
