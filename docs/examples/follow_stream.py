"""Read all that staff are told, from the last place that was dealt with; that place is kept in a file."""

import asyncio
import json
import os
import sys
from pathlib import Path

import aio_pika

PLACE = Path(sys.argv[1])


async def main() -> None:
    place = int(PLACE.read_text()) + 1 if PLACE.exists() else 0
    async with await aio_pika.connect(os.environ["AMQP_URL"]) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        log = await channel.get_queue("doorstep.notifications.log", ensure=False)
        async with log.iterator(arguments={"x-stream-offset": place}) as messages:
            async for message in messages:
                offset = int(str(message.headers["x-stream-offset"]))
                # A stream begins with a whole chunk, which may hold what was before.
                if offset >= place:
                    told = json.loads(message.body)
                    print(offset, told["event"], told["text"]["zh"], flush=True)
                    PLACE.write_text(str(offset))
                await message.ack()


asyncio.run(main())
