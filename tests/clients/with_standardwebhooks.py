"""Verifies the webhook message on standard input with the library of the Standard Webhooks project."""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

message = json.load(sys.stdin)
webhook = Webhook(message["secret"])
event = webhook.verify(message["body"], message["headers"])
# And it is no rubber stamp.
try:
    webhook.verify(message["body"] + " ", message["headers"])
    raise SystemExit("a changed body passed")
except WebhookVerificationError:
    pass
print(json.dumps({"type": event["type"], "client": event["data"].get("client_id")}))
