"""What the demonstration itself did and saw while the day was played."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from deploy.demo.orders import Way

AT_FIRST = "first"
AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Submission:
    """One order sent once, with all the tries that it took, and what was answered."""

    way: Way
    planned: str
    """`first`, or `again` where the sender repeats an order that was already answered."""
    tries: int
    status: str
    """As in the contract; `refused` where it was, `unanswered` where patience ended."""
    request_id: str | None = None
    tracking_code: str | None = None
    problem: str = ""


@dataclass(slots=True)
class Record:
    """Grows while the day is played."""

    orders: int
    """How many there will be."""
    sent_at: dict[str, datetime] = field(default_factory=dict)
    """When an order was first sent, by its key."""
    submissions: defaultdict[str, list[Submission]] = field(default_factory=lambda: defaultdict(list))
    """By the order's key."""
    requests: dict[str, str] = field(default_factory=dict)
    """Every request that we caused, with the order's key."""
    seen: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """On the staff's stream: by request, the ids of the RequestCreated events that told of it."""
    events: Counter[str] = field(default_factory=Counter)
    """On the staff's stream: how many of each event concerned our requests."""
    staff: Counter[str] = field(default_factory=Counter)
    """What the staff did: accepted, declined, forgot, …"""
    troubles: list[str] = field(default_factory=list)
    """What could not be done at all, in words."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def submitted(self, key: str, submission: Submission) -> None:
        """Take note of an answer."""
        self.submissions[key].append(submission)
        if submission.request_id:
            self.requests.setdefault(submission.request_id, key)

        self._news.set()
        self._news = asyncio.Event()

    async def ours(self, request_id: str) -> bool:
        """Whether a request is of this day. On a running system others ask for help too, and are left alone.

        The staff may hear of a request before its sender has the answer, so this waits for what is not answered yet.
        """
        while request_id not in self.requests and len(self.submissions) < self.orders:
            await self._news.wait()
        return request_id in self.requests
