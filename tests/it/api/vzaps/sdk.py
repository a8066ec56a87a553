"""What a user of the VZaps SDK does, sync and async: prints what each call returned, as one JSON object."""

import asyncio
import json
import sys

from vzaps import AsyncVZapsClient, VZapsAPIError, VZapsAuthenticationError, VZapsClient

base_url, client_token, client_secret, hook = sys.argv[1:]
credentials = {"client_token": client_token, "client_secret": client_secret, "base_url": base_url}
said = {}


def refused(kind, call):
    try:
        call()
    except kind as error:
        return [error.status_code, error.message]
    return "not refused"


with VZapsClient(**credentials) as client:
    said["token"] = client.auth.get_access_token()
    created = client.instances.create(
        name="Support", webhook=hook, events_subscribe=["Message", "Connected", "Disconnected"]
    )
    said["created"] = created
    instance = {"instance_id": created["id"], "instance_token": created["token"]}
    said["listed"] = client.instances.list(page=1, size=20, search="support")
    said["listed_all"] = client.instances.list()
    said["got"] = client.instances.get(created["id"])
    said["webhook"] = client.webhooks.get(created["id"], instance_token=created["token"])
    said["set"] = client.webhooks.set(**instance, webhook_url=hook, events=["Message", "ReadReceipt"])
    said["set_as_text"] = client.webhooks.set(**instance, webhookURL=hook, events="Message,Presence")
    said["moved"] = client.webhooks.set(**instance, url=hook + "moved")
    said["webhook_after"] = client.webhooks.get(created["id"], instance_token=created["token"])

    print(json.dumps({"emit": True}), flush=True)
    sys.stdin.readline()

    said["logs"] = client.webhooks.search_logs(**instance, status="failed")
    said["logs_all"] = client.webhooks.search_logs(**instance)
    log_id = said["logs"]["data"]["content"][0]["id"]
    said["log"] = client.webhooks.get_log(**instance, log_id=log_id)
    said["retried"] = client.webhooks.retry_log(**instance, log_id=log_id)

    said["bad_event"] = refused(VZapsAPIError, lambda: client.webhooks.set(**instance, webhook_url=hook, events=["Receipt"]))
    said["unknown"] = refused(VZapsAPIError, lambda: client.instances.get("VZNOBODY"))

with VZapsClient(client_token=client_token, client_secret="wrong", base_url=base_url) as stranger:
    said["stranger"] = refused(VZapsAuthenticationError, stranger.instances.list)


async def asynchronously():
    async with AsyncVZapsClient(**credentials) as client:
        said["async_webhook"] = await client.webhooks.get(created["id"], instance_token=created["token"])
        said["async_logs"] = await client.webhooks.search_logs(**instance, status="failed")


asyncio.run(asynchronously())
print(json.dumps(said), flush=True)
