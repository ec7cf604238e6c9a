"""Settings of the gateway: one origin in front of the four services."""

from collections.abc import Mapping
from pathlib import Path

from deploy.engines.ports import LOOPBACK

# No flush_interval: Caddy passes events on as they come by itself, and told to do so with everything it would, under
# load, lose the body of an answer that comes while the request is still being sent (seen with 2.6.2, 5 in 1,000).
# Idle connections are dropped before the services drop them (after 5 s): otherwise a request could be sent into a
# connection that is just being closed, and fail with 502 though its service is well.
_CADDYFILE = """\
# Written at every start; changes here are lost.
{{
	admin off
	auto_https off
	storage file_system "{folder}"
	# Live streams never end by themselves.
	grace_period 1s
	log {{
		output stderr
		level WARN
	}}
}}

(service) {{
	reverse_proxy {address}:{{args.0}} {{
		transport http {{
			dial_timeout 2s
			keepalive 3s
		}}
	}}
}}

:{port} {{
	bind {address}
{routes}
	handle / {{
		root * "{pages}"
		file_server
	}}
	handle {{
		error 404
	}}
	handle_errors {{
		header Content-Type application/problem+json
		header Cache-Control no-store
		@down expression `{{err.status_code}} in [502, 503, 504]`
		handle @down {{
			header Retry-After 2
			respond `{down}`
		}}
		handle {{
			respond `{other}`
		}}
	}}
}}
"""
_ROUTE = """\
	handle {paths} {{
		import service {port}
	}}
"""
# The status is filled in by Caddy.
_PROBLEM = (
    '{{"type": "urn:doorstep:problem:{code}", "title": "{title}", "status": {{err.status_code}},'
    ' "code": "{code}", "problems": []}}'
)
_DOWN = _PROBLEM.format(code="unavailable", title="not available just now; send the same again in a moment")
_OTHER = _PROBLEM.format(code="not_found", title="there is nothing at this address")

_PAGES = Path(__file__).parents[1] / "gateway"
"""What a browser is shown at `/`."""


def caddyfile(*, port: int, services: Mapping[str, int], folder: Path) -> str:
    """A Caddyfile for the gateway on `port`, in front of services by name and port; Caddy keeps its own in `folder`.

    Nothing but /api/<service>/ is passed on; a service's /metrics therefore is not.
    """
    routes = "".join(_ROUTE.format(paths=f"@{name}", port=service_port) for name, service_port in services.items())
    matchers = "".join(f"\t@{name} path /api/{name}/*\n" for name in services)
    return _CADDYFILE.format(
        folder=folder,
        address=LOOPBACK,
        port=port,
        routes=matchers + routes,
        pages=_PAGES,
        down=_DOWN,
        other=_OTHER,
    )
