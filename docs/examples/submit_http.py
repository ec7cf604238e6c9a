"""Submit a request over HTTP, as often as it takes, and look how it stands."""

import os
import time

import httpx

REQUEST = {
    "source": "example",
    "source_id": "2022-11-24-0017",
    "kind": "groceries",
    "community": "tiebei",
    "address": {"building": "1", "unit": "1", "room": "101"},
    "resident": {"name": "示例居民", "phone": "+86 100 0000 0000", "language": "zh"},
    "items": [{"name": "白菜", "quantity": 2, "unit": "颗"}],
}
NOT_NOW = {429, 502, 503, 504}

headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
with httpx.Client(base_url=os.environ["HTTP_URL"], headers=headers, timeout=10) as client:
    for _ in range(5):
        try:
            answer = client.post("/api/intake/requests", json=REQUEST)
        except httpx.TransportError:
            pass  # Whether it arrived is not known: the same again does no harm.
        else:
            if answer.status_code not in NOT_NOW:
                break
        time.sleep(2)
    else:
        raise SystemExit("no answer; send the same again later")
    print(answer.text)
    if answer.status_code == httpx.codes.ACCEPTED:
        print(client.get(answer.headers["Location"]).json()["state"])
