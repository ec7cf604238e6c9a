"""RabbitMQ's users, virtual host and permissions, in the format of its definitions file.

The exchanges and queues are declared by the services that own them; here is only who may do what.
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace

VHOST = "doorstep"
SERVICES = ("intake", "dispatch", "notification", "ledger")

NOTHING = "^$"
# Names that the broker (amq.gen-), aio-pika (amq_) and our documentation (reply., staff.) give to private queues.
_REPLY_QUEUES = r"^(amq\.gen.*|amq_.*|reply\..*)$"
_STAFF_QUEUES = r"amq\.gen.*|amq_.*|staff\..*"


@dataclass(frozen=True)
class Rights:
    """Regular expressions over names of exchanges and queues; the default exchange is called amq.default."""

    configure: str
    write: str
    read: str


_SERVICE = Rights(
    configure=r"^doorstep\..*$",
    # The default exchange, to answer a sender's reply queue.
    write=r"^(doorstep\..*|amq\.default)$",
    read=r"^doorstep\..*$",
)

_STAFF = Rights(
    # Writing to its own queues is what binding them takes; reading the exchange is the other half of it.
    configure=f"^({_STAFF_QUEUES})$",
    write=f"^({_STAFF_QUEUES})$",
    read=rf"^({_STAFF_QUEUES}|doorstep\.notifications|doorstep\.notifications\.log)$",
)
STAFF_OF_A_PLACE = replace(_STAFF, read=rf"^({_STAFF_QUEUES}|doorstep\.notifications)$")
"""The log holds every place's notifications, so whoever is bound to one reads the exchange only."""

RIGHTS: Mapping[str, Rights] = {
    **dict.fromkeys(SERVICES, _SERVICE),
    "operator": Rights(configure=".*", write=".*", read=".*"),
    # No writing to its own queues: answers reach them without it, and an exchange made under such a name, bound to
    # doorstep.commands and then published to, would carry any routing key past the topic permission below.
    "source": Rights(configure=_REPLY_QUEUES, write=r"^doorstep\.commands$", read=_REPLY_QUEUES),
    "staff": _STAFF,
}

SOURCE_ROUTING_KEYS = r"^(request|person|follow-up)\..*$"
"""The commands that another system may send; claiming and finishing tasks is not among them."""


def password_hash(password: str) -> str:
    """Salted SHA-256 as RabbitMQ stores it: base64 of 4 bytes of salt and the digest of salt and password.

    https://www.rabbitmq.com/docs/passwords#computing-password-hash
    """
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def definitions(passwords: Mapping[str, str]) -> dict[str, object]:
    """The content of a definitions file; there is no guest.

    Raises:
        KeyError: a user has no password.
    """
    return {
        "vhosts": [{"name": VHOST}],
        "users": [
            {
                "name": user,
                "password_hash": password_hash(passwords[user]),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": ["administrator"] if user == "operator" else [],
                "limits": {},
            }
            for user in RIGHTS
        ],
        "permissions": [
            {"user": user, "vhost": VHOST, "configure": rights.configure, "write": rights.write, "read": rights.read}
            for user, rights in RIGHTS.items()
        ],
        "topic_permissions": [
            {
                "user": "source",
                "vhost": VHOST,
                "exchange": "doorstep.commands",
                "write": SOURCE_ROUTING_KEYS,
                "read": NOTHING,
            }
        ],
    }
