// Submit a request over AMQP and wait for the answer.
import { randomUUID } from "node:crypto";
import amqp from "amqplib";

const REQUEST = {
  source: "example",
  source_id: "2022-11-24-0017",
  kind: "groceries",
  community: "tiebei",
  address: { building: "1", unit: "1", room: "101" },
  resident: { name: "示例居民", phone: "+86 100 0000 0000", language: "zh" },
  items: [{ name: "白菜", quantity: 2, unit: "颗" }],
};

const connection = await amqp.connect(process.env.AMQP_URL);
try {
  const channel = await connection.createConfirmChannel();
  const answer = new Promise((resolve, reject) => {
    channel.on("return", () => reject(new Error("no queue takes this")));
    channel.consume("amq.rabbitmq.reply-to", resolve, { noAck: true }).catch(reject);
    setTimeout(() => reject(new Error("no answer; send the same again")), 10_000).unref();
  });
  const name = randomUUID();
  channel.publish("doorstep.commands", "request.submit", Buffer.from(JSON.stringify(REQUEST)), {
    contentType: "application/json",
    persistent: true,
    mandatory: true,
    messageId: name,
    correlationId: name,
    replyTo: "amq.rabbitmq.reply-to",
    userId: new URL(process.env.AMQP_URL).username, // the broker checks it, so the ledger knows who asked
  });
  await channel.waitForConfirms();
  console.log((await answer).content.toString());
} finally {
  await connection.close();
}
