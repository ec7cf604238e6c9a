#!/usr/bin/env bash
# What `make rotate` does once the new secrets are written: the broker, the database, then one service after the other,
# while requests go on. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/../.."
read -ra compose <<<"${DOORSTEP_COMPOSE:-docker compose}"

# The nodes of the broker know each other, and the command line knows them, by the cookie.
cookie='rabbitmqctl --quiet eval "erlang:set_cookie(list_to_atom(\"$(cat /run/secrets/rabbit-cookie)\"))." >/dev/null &&
    install -m 400 /run/secrets/rabbit-cookie /var/lib/rabbitmq/.erlang.cookie'
for node in $("${compose[@]}" ps --services --status running); do
    case $node in rabbitmq | rabbitmq-[23]) "${compose[@]}" exec --no-TTY "$node" bash -c "$cookie" ;; esac
done
"${compose[@]}" exec --no-TTY rabbitmq rabbitmqctl --quiet import_definitions /run/secrets/rabbit-definitions.json
"${compose[@]}" run --rm --no-TTY setup
for service in intake dispatch notification ledger; do
    "${compose[@]}" up --detach --wait --no-deps --force-recreate "$service"
done
