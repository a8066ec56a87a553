"""Subscribes as a user of the VZaps SDK does, and prints what happens, a JSON object a line. Closes at a line of input."""

import asyncio
import json
import sys

from vzaps import AsyncVZapsClient

base_url, realtime_url, client_token, client_secret, instance_id, instance_token, events, failing = sys.argv[1:]
failing = set(json.loads(failing))


def say(**what):
    print(json.dumps(what), flush=True)


async def main():
    credentials = {"client_token": client_token, "client_secret": client_secret}
    async with AsyncVZapsClient(**credentials, base_url=base_url, realtime_url=realtime_url) as client:
        subscription = client.events.subscribe(
            instance_id=instance_id,
            instance_token=instance_token,
            events=events.split(",") if events else None,
            retry_delay_seconds=0.2,
        )

        @subscription.on("All")
        async def heard(event):
            number = event.data["event"]["n"]
            say(heard=number, id=event.id, type=event.type, instance=event.instance_id, created_at=event.created_at)
            if number in failing:
                failing.remove(number)
                raise RuntimeError("the handler fails")

        @subscription.on("Presence")
        def another(event):
            pass

        subscription.on_open(lambda: say(open=True))
        subscription.on_close(lambda: say(closed=True))
        subscription.on_error(lambda error: say(error=str(error)))
        await subscription.open()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        await subscription.close()
        say(ended=True)


asyncio.run(main())
