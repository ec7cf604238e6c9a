#!/usr/bin/env bash
# Installs the Debian packages that Doorstep needs without Docker, where they are missing.
#
#   deploy/local/install.sh            what the local run needs
#   deploy/local/install.sh --tests    and what the tests need
#   deploy/local/install.sh --browser  and what the browser tests need
#   deploy/local/install.sh --docker   and what the tests of the deployment in containers need
#
# Nothing that apt brings along is left running: Doorstep starts a broker of its own, on a port of its own.
set -euo pipefail

wanted=()
need() { [[ " ${wanted[*]-} " == *" $1 "* ]] || wanted+=("$1"); }
found() { PATH="$PATH:/usr/sbin:/sbin" type -P "$1" >/dev/null; }
# The whole list is read before it is searched: a reader that stops early would fail the pipe.
library() { [[ "$(PATH="$PATH:/usr/sbin:/sbin" ldconfig -p)" == *"$1"* ]]; }

found rabbitmq-server || [[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] || need rabbitmq-server
found caddy || need caddy
found make || need make
[[ -e /etc/ssl/certs/ca-certificates.crt ]] || need ca-certificates
# mongod comes as a Python package; these are the libraries that it expects of the system.
library libcurl.so.4 || need libcurl4
library libssl.so.3 || need libssl3
if ! "${PYTHON:-python3}" -c 'import ensurepip' 2>/dev/null && [[ ! -x .venv/bin/python ]]; then
    need python3-venv
fi
if [[ " $* " == *" --browser "* ]]; then
    found chromium || need chromium
    [[ -d /usr/share/fonts/opentype/noto ]] && compgen -G '/usr/share/fonts/opentype/noto/NotoSansCJK*' >/dev/null || need fonts-noto-cjk
fi
if [[ " $* " == *" --tests "* ]]; then
    # What checks the alerts comes in the server's package.
    found promtool || need prometheus
    found prometheus-blackbox-exporter || need prometheus-blackbox-exporter
    # The examples in Java; those in Python and Node come with Python packages.
    found javac || need default-jdk-headless
    [[ -e /usr/share/java/amqp-client.jar ]] || need librabbitmq-client-java
fi
if [[ " $* " == *" --docker "* ]]; then
    found dockerd || need docker.io
    found docker || need docker.io
    found debootstrap || need debootstrap
    found iptables || need iptables
fi

[[ ${#wanted[@]} -eq 0 ]] && exit 0

command="apt-get install --yes --no-install-recommends ${wanted[*]}"
as_root=()
if [[ $(id -u) -ne 0 ]]; then
    if type -P sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root=(sudo -n)
    else
        as_root=(false)
    fi
fi
if [[ "${as_root[0]-}" == false ]] || ! type -P apt-get >/dev/null; then
    {
        echo "Doorstep needs these Debian packages, and cannot install them without root and apt: ${wanted[*]}"
        echo "Install them, then run this again:"
        echo "    sudo apt-get update && sudo $command"
        [[ " ${wanted[*]} " != *" rabbitmq-server "* ]] ||
            echo "(Debian starts rabbitmq-server after the install; Doorstep does not use that one: sudo systemctl disable --now rabbitmq-server)"
    } >&2
    exit 1
fi

echo "Installing Debian packages: ${wanted[*]}"
root() { "${as_root[@]}" "$@"; }

# policy-rc.d is what a package's scripts ask before they start a service; 101 means no.
policy=/usr/sbin/policy-rc.d
ours=
log=
tidy() {
    [[ -z "$ours" ]] || root rm -f "$policy"
    rm -f "$log"
}
trap tidy EXIT
trap 'exit 130' INT TERM
if [[ ! -e $policy ]]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' | root tee "$policy" >/dev/null
    root chmod 755 "$policy"
fi

log=$(mktemp)
apt() { root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" </dev/null >>"$log" 2>&1; }
if ! { apt update && apt install --yes --no-install-recommends "${wanted[@]}"; }; then
    tail -n 20 "$log" >&2
    echo "apt could not install: ${wanted[*]} (see above). By hand: apt-get update && $command" >&2
    exit 1
fi

# Not at the next boot either: what was installed just now is for Doorstep's private use.
if [[ -d /run/systemd/system ]]; then
    for service in rabbitmq-server caddy prometheus docker docker.socket; do
        if [[ " ${wanted[*]} " == *" ${service%.socket} "* || (" ${wanted[*]} " == *" docker.io "* && $service == docker*) ]]; then
            root systemctl disable --now --quiet "$service" || true
        fi
    done
fi
