# The gateway: Caddy with our routes and pages, for a user without rights.
ARG BASE=caddy:2
FROM ${BASE}
# Copying leaves the file's capability behind: a program that has one cannot be started where none may be gained.
RUN cp /usr/bin/caddy /usr/bin/caddy-plain && mv /usr/bin/caddy-plain /usr/bin/caddy \
    && mkdir -p /data /config && chown 10001:10001 /data /config
COPY deploy/gateway /etc/caddy
ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config
LABEL org.opencontainers.image.title="Doorstep gateway" org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
EXPOSE 8080 8443
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
