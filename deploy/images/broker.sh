#!/bin/bash
# Entry of the broker's container: makes one user for each service, from the secret files, then starts RabbitMQ.
# The image makes users only by hand or from a file of password hashes, so the hashes are made here (salt + SHA-256).
set -euo pipefail

escaped() { sed 's/../\\x&/g'; }
hashed() {
    local salt digest
    salt=$(head -c 4 /dev/urandom | od -An -tx1 | tr -d ' \n')
    digest=$( { printf '%b' "$(escaped <<<"$salt")"; printf '%s' "$1"; } | sha256sum | cut -d' ' -f1)
    printf '%b' "$(escaped <<<"$salt$digest")" | base64 -w0
}

# What deploy/engines/definitions.py gives a service; other systems and staff get users of their own in a later step.
rights='"configure":"^doorstep\\..*$","write":"^(doorstep\\..*|amq\\.default)$","read":"^doorstep\\..*$"'

users= permissions=
for service in intake dispatch notification ledger; do
    password=$(tr -d '\r\n' <"/run/secrets/rabbit-$service")
    [[ -n "$password" ]] || { echo "The secret rabbit-$service is empty." >&2; exit 1; }
    users+="${users:+,}{\"name\":\"$service\",\"password_hash\":\"$(hashed "$password")\",\"hashing_algorithm\":\"rabbit_password_hashing_sha256\",\"tags\":[]}"
    permissions+="${permissions:+,}{\"user\":\"$service\",\"vhost\":\"doorstep\",$rights}"
done

umask 077
printf '{"vhosts":[{"name":"doorstep"}],"users":[%s],"permissions":[%s]}\n' "$users" "$permissions" >/etc/rabbitmq/doorstep.json
printf 'load_definitions = /etc/rabbitmq/doorstep.json\n' >/etc/rabbitmq/conf.d/90-doorstep.conf
chown rabbitmq: /etc/rabbitmq/doorstep.json /etc/rabbitmq/conf.d/90-doorstep.conf
exec docker-entrypoint.sh rabbitmq-server
