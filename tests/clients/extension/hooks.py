"""What schemathesis invents is not sent out into the world: every host that a setting names becomes one that nobody has.

The forms of hosts (names, addresses, ports) are tried by the server's own tests, against the same pattern.
"""

import re

import schemathesis

HOST = re.compile(r"^(https?://)(\[[0-9A-Fa-f:]+\]|[^/?#:\[]+)(?=[:/?]|$)")
MEMBERS = ("Url", "EndpointUrl", "BackchannelLogoutUri", "FrontchannelLogoutUri")


@schemathesis.hook
def before_call(context, case, kwargs):
    nobody(case.body)


def nobody(value):
    if isinstance(value, list):
        for item in value:
            nobody(item)
    if not isinstance(value, dict):
        return
    for name, item in value.items():
        if name in MEMBERS and isinstance(item, str):
            # Without TLS browsers are only sent to this machine, and nobody asks there.
            if name != "FrontchannelLogoutUri" or item.startswith("https:"):
                value[name] = HOST.sub(r"\1receiver.invalid", item)
        else:
            nobody(item)
