#!/bin/bash
# Entry of the database's container: a replica set of one, with one user for each service, from the secret files.
set -euo pipefail

ready=/tmp/doorstep-ready
key=/data/configdb/doorstep.key
rm -f "$ready"
if [[ ! -s $key ]]; then
    head -c 96 /dev/urandom | base64 -w0 >"$key.new"
    chmod 400 "$key.new"
    chown mongodb: "$key.new"
    mv "$key.new" "$key"
fi

# Beside the server, once it answers; again and again, because it is made so that doing it twice changes nothing.
(
    until mongosh --quiet --norc /doorstep/database.js; do sleep 1; done
    touch "$ready"
) &
exec docker-entrypoint.sh mongod --replSet rs0 --keyFile "$key" --auth --bind_ip_all
