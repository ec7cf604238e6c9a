"""`python -m deploy.engines.setup`: what a deployment in containers needs before its services start; safe to repeat.

It makes MongoDB's replica set and users. (RabbitMQ loads its users by itself; exchanges, queues and indexes are
made by the services that own them.)
"""

import os
import sys
from collections.abc import Mapping

from pymongo.errors import PyMongoError

from deploy.engines.definitions import SERVICES
from deploy.engines.engine import EngineError
from deploy.engines.replica_set import ADMIN, ReplicaSet
from shared.settings import Settings, SettingsError


def main(environment: Mapping[str, str]) -> int:
    """Do it; the exit code.

    `DOORSTEP_MONGO_MEMBERS` are the members' addresses (`host:port`, with commas between), the one on this machine
    first.
    """
    members = environment.get("DOORSTEP_MONGO_MEMBERS", "mongodb:27017").split(",")
    port = members[0].partition(":")[2]
    try:
        secrets = Settings().secrets
        passwords = {user: secrets.text(f"mongo-{user}") for user in (ADMIN, *SERVICES)}
        before = secrets.text("mongo-admin-before").split()
        ReplicaSet("127.0.0.1", int(port or 27017), "rs0", members, passwords, before).prepare()
    except (SettingsError, EngineError, PyMongoError) as error:
        sys.stderr.write(f"MongoDB could not be set up: {error}\n")
        return 1
    print(f"MongoDB is set up: replica set rs0 of {', '.join(members)}, users {', '.join(SERVICES)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
