"""The tables of the HTTP peer, with the columns and the index of the hub's."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import DateTime, ForeignKey, Index, Numeric, String
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """Common columns; times with zone."""

    type_annotation_map = {
        datetime: DateTime(timezone=True),
        Decimal: Numeric(18, 8),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        list[str]: ARRAY(String(128)),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)


class Organization(Base):
    """A tenant."""

    __tablename__ = "organization"

    name: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True)


class User(Base):
    """A person."""

    __tablename__ = "user"

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    email: Mapped[str]
    role: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True)
    organization: Mapped[Organization] = relationship()


class Login(Base):
    """A session that can be revoked."""

    __tablename__ = "login"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("user.id"))
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    user: Mapped[User] = relationship()


class Task(Base):
    """A piece of work."""

    __tablename__ = "task"

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    title: Mapped[str] = mapped_column(String(500))
    description: Mapped[str] = mapped_column(default="")
    instructions: Mapped[str] = mapped_column(default="")
    priority: Mapped[str] = mapped_column(default="medium")
    status: Mapped[str] = mapped_column(default="pending")
    agent_id: Mapped[UUID | None]
    assigned_by: Mapped[str] = mapped_column(default="")
    source: Mapped[str] = mapped_column(default="queue")
    user_id: Mapped[UUID | None]
    conversation_id: Mapped[UUID | None]
    concurrency_key: Mapped[str] = mapped_column(default="")
    output_schema: Mapped[dict[str, Any] | None]
    workflow_id: Mapped[UUID | None]
    parent_task_id: Mapped[UUID | None] = mapped_column(ForeignKey("task.id"))
    required_tools: Mapped[list[str]] = mapped_column(default=list)
    deadline: Mapped[datetime | None]
    max_retries: Mapped[int] = mapped_column(default=3)
    retry_count: Mapped[int] = mapped_column(default=0)
    attempt_count: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    result: Mapped[str | None]
    error: Mapped[str] = mapped_column(default="")
    error_kind: Mapped[str] = mapped_column(default="")
    output_files: Mapped[list[Any]] = mapped_column(default=list)
    task_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    progress_percent: Mapped[int] = mapped_column(default=0)
    estimated_duration_seconds: Mapped[int | None]
    actual_duration_seconds: Mapped[float | None]
    cost_tokens: Mapped[int] = mapped_column(default=0)
    cost_usd: Mapped[Decimal] = mapped_column(default=Decimal(0))
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = (Index("task_newest", "organization_id", "created_at", "id"),)


class Audit(Base):
    """Who did what."""

    __tablename__ = "audit"

    organization_id: Mapped[UUID]
    actor_id: Mapped[str]
    actor_label: Mapped[str]
    action: Mapped[str]
    resource_type: Mapped[str]
    resource_id: Mapped[str]
    details: Mapped[dict[str, Any]]
    occurred_at: Mapped[datetime]


class Outbox(Base):
    """What others are told."""

    __tablename__ = "outbox"

    organization_id: Mapped[UUID]
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    occurred_at: Mapped[datetime]
