#!/usr/bin/env bash
# MongoDB's replica set and users: once after `docker stack deploy`, on the machine where the first MongoDB runs; safe to
# repeat. The first user can be made only over the database's own loopback, and Swarm cannot run a service there; so this
# starts the same set-up program as compose does in a container that shares the database's network.
set -euo pipefail
cd "$(dirname "$0")"

stack=${DOORSTEP_STACK:-doorstep}
secrets=$(realpath "${DOORSTEP_SECRETS:-../../.doorstep/secrets}")
members=mongodb:27017
[[ ${DOORSTEP_CLUSTER:-0} == 0 ]] || members+=,mongodb-2:27017,mongodb-3:27017

for ((waited = 0; ; waited += 2)); do
    container=$(docker ps --quiet --filter "label=com.docker.swarm.service.name=${stack}_mongodb" --filter health=healthy)
    [[ -z $container ]] || break
    if ((waited >= 120)); then
        echo "No healthy container of ${stack}_mongodb on this machine. Where it runs: docker service ps ${stack}_mongodb" >&2
        exit 1
    fi
    sleep 2
done

files=()
for name in mongo-admin mongo-admin-before mongo-intake mongo-dispatch mongo-notification mongo-ledger; do
    files+=(--volume "$secrets/$name:/run/secrets/$name:ro")
done
exec docker run --rm --network "container:$container" --user 10001:10001 --read-only --cap-drop ALL \
    --security-opt no-new-privileges:true --tmpfs /tmp --env "DOORSTEP_MONGO_MEMBERS=$members" "${files[@]}" \
    "${DOORSTEP_IMAGE:-doorstep:local}" python -m deploy.engines.setup
