"""The same list and the same POST as a good engineer writes them with FastAPI and SQLAlchemy.

Does what the hub does for the two routes: checks the JWT (signature, expiry, issuer, audience),
loads the session with its user and organization and refuses what was revoked or disabled, checks
the role, filters by organization, orders by creation and key, counts exactly, answers with the same
fields; a POST validates, then writes the task, an audit row and an outbox row in one transaction.
Leaves out what the hub also does: access log, metrics, request ids, doorbells, idempotency keys,
the bounds on bodies.

`python -m bench.peers.http_app ROWS` makes the tables with ROWS tasks and prints a token.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID, uuid4

import jwt
import orjson
from fastapi import Depends, FastAPI, Header, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import contains_eager

from bench.peers.http_tables import Audit, Base, Login, Organization, Outbox, Task, User

KEY = "a key for measurements only, of no use elsewhere"
ISSUER = "http-app"
WRITERS = {"admin", "operator"}

engine = create_async_engine(
    os.environ["BENCH_PEER_DATABASE"],
    pool_size=16,
    max_overflow=0,
    json_serializer=lambda value: orjson.dumps(value).decode(),
    json_deserializer=orjson.loads,
)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Priority(StrEnum):
    """How urgent."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class TaskIn(BaseModel):
    """What a POST takes, with the hub's bounds."""

    title: Annotated[str, Field(min_length=1, max_length=500)]
    description: Annotated[str, Field(max_length=200_000)] = ""
    instructions: Annotated[str, Field(max_length=200_000)] = ""
    priority: Priority = Priority.MEDIUM
    agent_id: UUID | None = None
    deadline: datetime | None = None
    required_tools: Annotated[
        list[Annotated[str, Field(max_length=128)]], Field(max_length=200)
    ] = []
    max_retries: Annotated[int, Field(ge=0, le=100)] = 3
    estimated_duration_seconds: Annotated[int, Field(ge=0, le=2_000_000_000)] | None = None
    metadata: dict[str, Any] = {}


class TaskOut(BaseModel):
    """What both routes answer."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    description: str
    instructions: str
    priority: str
    status: str
    agent_id: UUID | None
    assigned_by: str
    source: str
    user_id: UUID | None
    conversation_id: UUID | None
    concurrency_key: str
    output_schema: dict[str, Any] | None
    workflow_id: UUID | None
    parent_task_id: UUID | None
    required_tools: list[str]
    deadline: datetime | None
    max_retries: int
    retry_count: int
    attempt_count: int
    next_attempt_at: datetime | None
    result: str | None
    error: str
    error_kind: str
    output_files: list[Any]
    metadata: Annotated[dict[str, Any], Field(validation_alias="task_metadata")]
    progress_percent: int
    estimated_duration_seconds: int | None
    actual_duration_seconds: float | None
    cost_tokens: int
    cost_usd: Decimal
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Page(BaseModel):
    """The list's envelope."""

    items: list[TaskOut]
    total: int
    limit: int
    offset: int
    next: str | None


async def database() -> AsyncIterator[AsyncSession]:
    """One session a request."""
    async with sessions() as session:
        yield session


Database = Annotated[AsyncSession, Depends(database)]


async def caller(db: Database, authorization: Annotated[str, Header()] = "") -> User:
    """The token's user, if their login still counts."""
    scheme, _, token = authorization.partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise HTTPException(401)
        claims = jwt.decode(token, KEY, algorithms=["HS256"], issuer=ISSUER, audience=ISSUER)
    except jwt.InvalidTokenError:
        raise HTTPException(401) from None
    login = await db.scalar(
        select(Login)
        .join(Login.user)
        .join(User.organization)
        .options(contains_eager(Login.user).contains_eager(User.organization))
        .where(Login.id == UUID(claims["sid"]))
    )
    if login is None or login.revoked_at or login.expires_at < datetime.now(UTC):
        raise HTTPException(401)
    if not (login.user.is_active and login.user.organization.is_active):
        raise HTTPException(401)
    return login.user


Caller = Annotated[User, Depends(caller)]
app = FastAPI()


@app.get("/tasks/")
async def list_tasks(  # noqa: PLR0917 - FastAPI's way to name query parameters
    db: Database,
    user: Caller,
    status: str | None = None,
    priority: Priority | None = None,
    agent_id: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> Page:
    """The organization's tasks, newest first."""
    asked = [Task.organization_id == user.organization_id]
    for column, value in (
        (Task.status, status),
        (Task.priority, priority),
        (Task.agent_id, agent_id),
    ):
        if value is not None:
            asked.append(column == value)
    rows = await db.scalars(
        select(Task)
        .where(*asked)
        .order_by(Task.created_at.desc(), Task.id.desc())
        .limit(limit)
        .offset(offset)
    )
    total = await db.scalar(select(func.count()).select_from(Task).where(*asked)) or 0
    more = offset + limit < total
    return Page(
        items=[TaskOut.model_validate(row) for row in rows],
        total=total,
        limit=limit,
        offset=offset,
        next=f"/tasks/?limit={limit}&offset={offset + limit}" if more else None,
    )


@app.post("/tasks/", status_code=201)
async def create_task(db: Database, user: Caller, asked: TaskIn) -> TaskOut:
    """One transaction: the task, its audit row, its event."""
    if user.role not in WRITERS:
        raise HTTPException(403)
    now = datetime.now(UTC)
    values = asked.model_dump(mode="python")
    values["priority"] = asked.priority.value
    values["task_metadata"] = values.pop("metadata")
    task = Task(
        id=uuid4(),
        organization_id=user.organization_id,
        created_at=now,
        updated_at=now,
        **values,
    )
    audit = Audit(
        organization_id=user.organization_id,
        actor_id=str(user.id),
        actor_label=user.email,
        action="task.create",
        resource_type="task",
        resource_id=str(task.id),
        details={"title": task.title},
        occurred_at=now,
    )
    told = Outbox(
        organization_id=user.organization_id,
        type="task.created",
        data={
            "id": str(task.id),
            "title": task.title,
            "status": "pending",
            "priority": task.priority,
            "agent_id": None,
            "progress_percent": 0,
            "retry_count": 0,
            "error": "",
            "cost_tokens": 0,
            "cost_usd": "0",
            "updated_at": now.isoformat(),
        },
        occurred_at=now,
    )
    db.add_all([task, audit, told])
    await db.commit()
    return TaskOut.model_validate(task)


async def prepare(rows: int) -> str:
    """Tables, one organization with `rows` tasks, one administrator; gives a token."""
    now = datetime.now(UTC)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with sessions() as db:
        organization = Organization(id=uuid4(), name="Default")
        user = User(
            id=uuid4(), organization_id=organization.id, email="a@example.com", role="admin"
        )
        login = Login(id=uuid4(), user_id=user.id, expires_at=now + timedelta(days=7))
        for row in (organization, user, login):
            db.add(row)
            await db.flush()
        await db.execute(
            insert(Task),
            [
                {
                    "organization_id": organization.id,
                    "title": f"Task {number}",
                    "description": "Nothing to do.",
                    "task_metadata": {"number": number},
                    "created_at": now + timedelta(microseconds=number),
                    "updated_at": now,
                }
                for number in range(rows)
            ],
        )
        await db.commit()
    await engine.dispose()
    claims = {
        "sub": str(user.id),
        "sid": str(login.id),
        "iss": ISSUER,
        "aud": ISSUER,
        "iat": now,
        "exp": now + timedelta(hours=1),
    }
    return jwt.encode(claims, KEY, algorithm="HS256")


if __name__ == "__main__":
    print(json.dumps({"token": asyncio.run(prepare(int(sys.argv[1])))}))
