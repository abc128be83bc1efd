// CloudEvents' JavaScript SDK as a command: reads JSON, writes JSON.
//   binary | structured   an event with `data_base64` to a Kafka message; its value is written in base64
//   read                  a Kafka message to an event
import { readFileSync } from "node:fs";
import sdk from "cloudevents";

const { CloudEvent, Kafka } = sdk;
const given = JSON.parse(readFileSync(0, "utf8"));
const task = process.argv[2];

if (task === "read") {
  process.stdout.write(JSON.stringify(Kafka.toEvent({ ...given, body: given.value })));
} else {
  const { data_base64: encoded, ...attributes } = given;
  const event = new CloudEvent({ ...attributes, data: Uint8Array.from(Buffer.from(encoded, "base64")) });
  const { headers, value } = Kafka[task](event);
  const bytes = typeof value === "string" ? Buffer.from(value) : Buffer.from(value.buffer ?? value);
  const texts = Object.entries(headers).filter(([, text]) => text !== undefined && text !== null);
  process.stdout.write(
    JSON.stringify({ headers: Object.fromEntries(texts.map(([k, v]) => [k, String(v)])), value: bytes.toString("base64") })
  );
}
