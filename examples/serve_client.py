"""Ask a running `atrous serve` from another program: the labels and the classes of the first image.

atrous serve photos --run runs/cells --no-browser --port 8765 --token some-token-of-mine
python examples/serve_client.py http://127.0.0.1:8765 some-token-of-mine labels.png
"""

import json
import sys
import time
import urllib.request


def main(address: str, token: str, path: str) -> dict[str, str]:
    """Have the first input labelled, save its labels, and return the classes with their colors."""

    def ask(what: str, method: str = "GET") -> bytes:
        request = urllib.request.Request(f"{address}/api/{what}", method=method)
        request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    ask("inputs/0/fill", "POST")
    while (labels := json.loads(ask("inputs/0/labels")))["known"] < 1:
        if labels["problem"]:
            raise SystemExit(labels["problem"])
        time.sleep(0.2)
    with open(path, "wb") as file:
        file.write(ask("inputs/0/labels.png"))
    return {one["name"]: one["color"] for one in json.loads(ask("run"))["classes"]}


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
