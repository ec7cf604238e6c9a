"""A small watcher that ends our children when this process dies without ending them itself.

The kernel's parent-death signal would be shorter, but it fires when the thread that started the child ends, and tests
start engines from short-lived threads. The watcher reads a pipe whose other end only this process holds: the end of
this process, however it came, is the end of the pipe.
"""

import atexit
import subprocess
import threading

# Reads "add <pid>" and "drop <pid>"; at the end of the pipe asks what is left to end, then insists.
_SCRIPT = """
pids=" "
while read -r verb pid; do
    case $verb in
        add) pids="$pids$pid " ;;
        drop) pids="${pids%% $pid *} ${pids#* $pid }" ;;
    esac
done
[ "$pids" = " " ] && exit 0
for pid in $pids; do kill -s TERM -- "-$pid" && kill -s CONT -- "-$pid"; done
tries=100
while [ $tries -gt 0 ]; do
    left=
    for pid in $pids; do kill -s 0 -- "-$pid" && left=1; done
    [ -z "$left" ] && exit 0
    tries=$((tries - 1))
    sleep 0.1
done
for pid in $pids; do kill -s KILL -- "-$pid"; done
"""


class Guard:
    """Ends the process groups told to it when this process dies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watcher: subprocess.Popen[bytes] | None = None

    def add(self, group: int) -> None:
        """Watch over this process group."""
        self._tell(f"add {group}\n")

    def drop(self, group: int) -> None:
        """The group has ended: its number may soon belong to somebody else."""
        self._tell(f"drop {group}\n")

    def _tell(self, line: str) -> None:
        with self._lock:
            if self._watcher is None or self._watcher.poll() is not None:
                # A session of its own: Ctrl-C and the end of a terminal do not reach it.
                self._watcher = subprocess.Popen(
                    ["/bin/sh", "-c", _SCRIPT],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                # A regular end waits until it has seen that nothing is left.
                atexit.register(self._watcher.communicate)
            assert self._watcher.stdin is not None
            self._watcher.stdin.write(line.encode())
            self._watcher.stdin.flush()


guard = Guard()
