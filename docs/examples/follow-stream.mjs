// Read all that staff are told, from the last place that was dealt with; that place is kept in a file.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import amqp from "amqplib";

const PLACE = process.argv[2];
const place = existsSync(PLACE) ? Number(readFileSync(PLACE, "utf8")) + 1 : 0;

const connection = await amqp.connect(process.env.AMQP_URL);
const channel = await connection.createChannel();
await channel.prefetch(100);
const deal = (message) => {
  const offset = message.properties.headers["x-stream-offset"];
  // A stream begins with a whole chunk, which may hold what was before.
  if (offset >= place) {
    const told = JSON.parse(message.content.toString());
    console.log(offset, told.event, told.text.zh);
    writeFileSync(PLACE, String(offset));
  }
  channel.ack(message);
};
await channel.consume("doorstep.notifications.log", deal, { arguments: { "x-stream-offset": place } });
