// KafkaJS with CloudEvents' SDK, as a command.
//   send BROKER TOPIC        the event on standard input, in binary and then in structured mode, to partition 0
//   read BROKER TOPIC N      the first N records as events, one JSON array
import { readFileSync } from "node:fs";
import sdk from "cloudevents";
import kafkajs from "kafkajs";

const { CloudEvent, Kafka: binding } = sdk;
const [task, broker, topic, number] = process.argv.slice(2);
const kafka = new kafkajs.Kafka({ brokers: [broker], logLevel: kafkajs.logLevel.ERROR });

if (task === "send") {
  const { data_base64: encoded, ...attributes } = JSON.parse(readFileSync(0, "utf8"));
  const event = new CloudEvent({ ...attributes, data: Uint8Array.from(Buffer.from(encoded, "base64")) });
  const messages = ["binary", "structured"].map((mode) => {
    const { headers, value } = binding[mode](event);
    const texts = Object.entries(headers).filter(([, text]) => text !== undefined && text !== null);
    const bytes = typeof value === "string" ? value : Buffer.from(value.buffer ?? value);
    return { key: attributes.partitionkey, value: bytes, headers: Object.fromEntries(texts.map(([k, v]) => [k, String(v)])), partition: 0 };
  });
  const producer = kafka.producer();
  await producer.connect();
  await producer.send({ topic, messages });
  await producer.disconnect();
} else {
  const consumer = kafka.consumer({ groupId: `kafkajs-${topic}` });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const events = [];
  await new Promise((resolve) =>
    consumer.run({
      eachMessage: async ({ message }) => {
        const texts = Object.entries(message.headers).map(([name, bytes]) => [name, bytes.toString()]);
        const value = message.value.toString();
        events.push(binding.toEvent({ headers: Object.fromEntries(texts), key: message.key?.toString(), value, body: value }));
        if (events.length === Number(number)) resolve();
      },
    })
  );
  process.stdout.write(JSON.stringify(events));
  await consumer.disconnect();
}
