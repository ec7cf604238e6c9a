"""What the images are made of."""

import json
import os
import re
import stat
import subprocess
from pathlib import Path

from tests.compose.engine import ROOT, Docker

DOCKERFILE = "deploy/images/Dockerfile"
SOMEBODY = 1234
"""A user without a name."""
IMAGES = ("doorstep:local", "doorstep:again")
_HASHES = "find /opt/doorstep /srv/doorstep /usr/local/bin -type f -print0 | sort -z | xargs -0 sha256sum"
PINNED = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def test_an_image_holds_exactly_the_pinned_packages_and_nothing_of_the_tests(docker: Docker) -> None:
    """Nothing that is not in requirements/run.txt, no test, no secret, no git."""
    listed = docker.run(
        "run", "--rm", "--entrypoint", "python", "doorstep:local", "-m", "pip", "list", "--format", "json"
    )
    installed = {one["name"].lower().replace("_", "-"): one["version"] for one in json.loads(listed)}
    pinned = dict(PINNED.findall((ROOT / "requirements/run.txt").read_text()))
    assert {name: version for name, version in installed.items() if name not in ("pip", "setuptools")} == pinned
    files = docker.run("run", "--rm", "--entrypoint", "ls", "doorstep:local", "-A", "/srv/doorstep").split()
    assert sorted(files) == ["deploy", "services", "shared"]


def test_two_builds_make_the_same_files(docker: Docker) -> None:
    """Whoever builds a release anew gets what was released, byte for byte."""
    docker.run("build", "--no-cache", "--quiet", "--tag", "doorstep:again", "--file", DOCKERFILE, ".")
    first, again = (docker.run("run", "--rm", "--entrypoint", "sh", one, "-c", _HASHES) for one in IMAGES)
    assert first == again
    assert "/srv/doorstep/services/intake/app.py" in first


def test_a_container_makes_the_secrets_once_as_files_of_whoever_runs_it(docker: Docker, tmp_path: Path) -> None:
    """Nothing but Docker is needed for them."""
    tmp_path.joinpath("data").mkdir()
    os.chown(tmp_path / "data", SOMEBODY, SOMEBODY)

    def made() -> dict[str, str]:
        user = f"{SOMEBODY}:{SOMEBODY}"
        docker.compose("run", "--rm", "--no-TTY", "--user", user, "secrets", DOORSTEP_DATA_DIR=str(tmp_path / "data"))
        files = list((tmp_path / "data" / "secrets").iterdir())
        assert {(file.stat().st_uid, stat.S_IMODE(file.stat().st_mode)) for file in files} == {(SOMEBODY, 0o444)}
        return {file.name: file.read_text() for file in files}

    first = made()
    assert first["mongo-admin"]
    assert stat.S_IMODE((tmp_path / "data" / "secrets").stat().st_mode) == 0o700
    assert made() == first


def test_images_say_what_they_are_and_start_without_rights(docker: Docker) -> None:
    """Labels for registries; a number as user, which an orchestrator can check."""
    for image in ("doorstep:local", "doorstep-gateway:local"):
        (made,) = docker.inspect(image)
        assert made["Config"]["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
        assert made["Config"]["User"] == "10001:10001"


def test_the_bill_of_materials_names_every_package_with_its_hashes(tmp_path: Path) -> None:
    """As `make sbom` writes it."""
    bill = tmp_path / "doorstep.cdx.json"
    command = [".venv/bin/cyclonedx-py", "requirements", "requirements/run.txt", "--output-reproducible"]
    subprocess.run([*command, "--of", "JSON", "--output-file", str(bill)], cwd=ROOT, check=True, capture_output=True)
    content = json.loads(bill.read_text())
    named = {one["name"]: one["version"] for one in content["components"]}
    assert named == dict(PINNED.findall((ROOT / "requirements/run.txt").read_text()))
    assert all(one["externalReferences"][0]["hashes"] for one in content["components"])
