"""What gcipuinfo says of every IPU, as one line of JSON for each line on standard input.

Runs under the Poplar SDK's Python (3.8), which has gcipuinfo and no recbench: standard library and gcipuinfo alone.
One command: `echo | python3.8 harness/telemetry/gcipuinfo_lines.py`.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    import gcipuinfo

    info = gcipuinfo.gcipuinfo()
    info.setUpdateMode(True)  # each question asks the devices anew
    for _ in sys.stdin:
        devices = [{str(key): str(value) for key, value in dict(one).items()} for one in info.getDevices()]
        sys.stdout.write(json.dumps(devices) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
