"""Names things that are there in requests that are made up, so that they get past "there is no such thing".

What a request may end is made for it. FUZZ_URL says where the APIs are, FUZZ_ACCOUNT is an account token for making things,
FUZZ_TOKEN the token that the requests carry.
"""

import itertools
import json
import os
import random
import urllib.request

import schemathesis

URL, ACCOUNT, TOKEN = (os.environ[name] for name in ("FUZZ_URL", "FUZZ_ACCOUNT", "FUZZ_TOKEN"))
INSTANCE = "shop"
numbers = itertools.count(random.SystemRandom().randrange(10**12))
chance = random.Random(1)


def ask(method, path, body=None):
    """One request with the account's token; what is answered, {} where it is refused."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "token": ACCOUNT, "apikey": ACCOUNT, "authorization": f"Bearer {ACCOUNT}"}
    request = urllib.request.Request(URL + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError:
        return {}


def passing_instance():
    """One that nobody needs."""
    name = f"passing-{next(numbers)}"
    ask("POST", "/v1/instances", {"name": name})
    return name


def endpoint():
    """One for every channel's sake, and one delivery."""
    label = f"e{next(numbers)}"
    made = ask("POST", f"/v1/instances/{INSTANCE}/endpoints", {"label": label, "url": f"https://example.com/{label}", "sign": True})
    return made.get("id") or made.get("endpoint", {}).get("id", 1)


def codechat_webhook():
    """By its public id."""
    name = f"w{next(numbers)}"
    made = ask("POST", f"/api/v2/instance/{INSTANCE}/webhook", {"name": name, "url": f"https://example.com/{name}", "enabled": True})
    return made.get("webhookId", "1")


def delivery():
    """The latest, of whatever state."""
    found = ask("GET", f"/v1/deliveries?limit=20&instance={INSTANCE}").get("items") or [{"id": 1}]
    return chance.choice(found)["id"]


def vzaps_log():
    """The latest of the webhook of VZaps."""
    found = ask("POST", f"/instances/{INSTANCE}/webhook/logs/search", {})
    found = (found.get("data") or found).get("content") or [{"id": 1}]
    return chance.choice(found)["id"]


def event():
    """One that was just published."""
    return ask("POST", f"/v1/instances/{INSTANCE}/events", {"type": "Message", "data": {"a": 1}}).get("id", "evt_1_1")


# Every endpoint gets every event, so there are few: a batch of 10,000 events is among what is made up.
lasting = {"endpoint": endpoint(), "webhookId": codechat_webhook()}

MAKERS = {
    "endpoint": lambda: lasting["endpoint"],
    "webhookId": lambda: lasting["webhookId"],
    "delivery": delivery,
    "logId": vzaps_log,
    "event": event,
    "account": lambda: ask("POST", "/v1/accounts", {"name": f"account-{next(numbers)}"}).get("id", "1"),
    "token": lambda: ask("POST", "/v1/tokens", {"label": "passing"}).get("id", "1"),
}
INSTANCES = ("instance", "instanceName", "instanceId", "id")


def ends_instance(case):
    """Whether the instance, or its token, is gone afterwards. The method may be another than the document has."""
    path = case.operation.path
    ends = case.method.upper() == "DELETE" and path.rsplit("/", 1)[-1].strip("{}") in INSTANCES
    return ends or path == "/v1/instances/{instance}/token"


# All that requests may ask for is there.
ask("POST", f"/api/events/webhook/{INSTANCE}", {"enabled": True, "url": "https://example.com/r"})
ask("POST", f"/webhook/set/{INSTANCE}", {"webhook": {"enabled": True, "url": "https://example.com/e"}})
ask("POST", f"/instances/{INSTANCE}/webhook", {"webhookURL": "https://example.com/v"})
event()


@schemathesis.hook
def before_call(context, case, kwargs):
    """Nearly all requests name what is there."""
    names = case.path_parameters
    if not names or (chance.random() < 0.1 and case.method.upper() != "DELETE"):
        return
    for name in list(names):
        if case.method.upper() == "DELETE" and name in lasting:
            names[name] = endpoint() if name == "endpoint" else codechat_webhook()
        elif name in INSTANCES:
            names[name] = passing_instance() if ends_instance(case) else INSTANCE
        elif name in MAKERS:
            names[name] = MAKERS[name]()
