// Submit a request over HTTP, as often as it takes, and look how it stands.
import { setTimeout as pause } from "node:timers/promises";

const REQUEST = {
  source: "example",
  source_id: "2022-11-24-0017",
  kind: "groceries",
  community: "tiebei",
  address: { building: "1", unit: "1", room: "101" },
  resident: { name: "示例居民", phone: "+86 100 0000 0000", language: "zh" },
  items: [{ name: "白菜", quantity: 2, unit: "颗" }],
};
const NOT_NOW = [429, 502, 503, 504];
const { HTTP_URL, TOKEN } = process.env;
const headers = { Authorization: `Bearer ${TOKEN}`, "Content-Type": "application/json" };

async function submit() {
  for (let tries = 0; tries < 5; tries++) {
    try {
      const signal = AbortSignal.timeout(10_000);
      const body = JSON.stringify(REQUEST);
      const answer = await fetch(`${HTTP_URL}/api/intake/requests`, { method: "POST", headers, body, signal });
      if (!NOT_NOW.includes(answer.status)) return answer;
    } catch {
      // Whether it arrived is not known: the same again does no harm.
    }
    await pause(2_000);
  }
  throw new Error("no answer; send the same again later");
}

const answer = await submit();
console.log(await answer.text());
if (answer.status === 202) {
  const request = await fetch(HTTP_URL + answer.headers.get("Location"), { headers });
  console.log((await request.json()).state);
}
