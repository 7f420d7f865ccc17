// Writes javascript.json, the messages of the JavaScript SDK: `npm install cloudevents@10.0.0`, then run this file.
import { writeFileSync } from "node:fs";
import { CloudEvent, HTTP, Kafka } from "cloudevents";

const event = new CloudEvent({
  id: "js",
  time: "2026-05-01T11:59:00.000Z",
  type: "clapometer.watched.v1",
  source: "/shop/sued",
  subject: "clip 1",
  datacontenttype: "application/json; charset=utf-8",
  dataschema: "https://schemas.example/watched/" + "v".repeat(300),
  partitionkey: "clip-1",
  sequence: "00001",
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  tracestate: "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
  data: { impression_id: "i-1", watched_ms: 8000, end_reason: null },
});
const messages = [];
for (const [transport, binding] of Object.entries({ http: HTTP, kafka: Kafka })) {
  for (const mode of ["binary", "structured"]) {
    const { headers, key, value, body } = binding[mode](event);
    const sent = transport === "kafka" ? value : body;
    messages.push({ transport, mode, headers, key, body: typeof sent === "string" ? sent : JSON.stringify(sent) });
  }
}
const made = { sdk: "cloudevents 10.0.0 (npm)", messages };
writeFileSync(new URL("javascript.json", import.meta.url), JSON.stringify(made, null, 1) + "\n");
