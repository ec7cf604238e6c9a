"""Submit a request over AMQP and wait for the answer."""

import asyncio
import json
import os
import uuid
from urllib.parse import urlsplit

import aio_pika

REQUEST = {
    "source": "example",
    "source_id": "2022-11-24-0017",
    "kind": "groceries",
    "community": "tiebei",
    "address": {"building": "1", "unit": "1", "room": "101"},
    "resident": {"name": "示例居民", "phone": "+86 100 0000 0000", "language": "zh"},
    "items": [{"name": "白菜", "quantity": 2, "unit": "颗"}],
}


async def main() -> None:
    async with await aio_pika.connect(os.environ["AMQP_URL"]) as connection:
        # A message that reaches no queue is an error; each publish waits until the broker has it.
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        replies = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
        commands = await channel.get_exchange("doorstep.commands", ensure=False)
        name = str(uuid.uuid4())
        message = aio_pika.Message(
            json.dumps(REQUEST).encode(),
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=name,
            correlation_id=name,
            reply_to="amq.rabbitmq.reply-to",
            user_id=urlsplit(os.environ["AMQP_URL"]).username,  # the broker checks it, so the ledger knows who asked
        )
        async with replies.iterator(no_ack=True, timeout=10) as answers:
            await commands.publish(message, "request.submit", mandatory=True)
            print((await anext(answers)).body.decode())


asyncio.run(main())
