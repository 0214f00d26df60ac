"""Budgets, reservations, prices of one's own, and the ledger's sums by day."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import kernel.clock
import kernel.ids
from kernel.queue_table import queue_table
from kernel.row_security import row_security

SCOPES = [("organization", "Organization"), ("agent", "Agent"), ("task", "Task"), ("run", "Run")]


def row_fields() -> list[tuple[str, models.Field]]:
    return [
        (
            "id",
            models.UUIDField(
                default=kernel.ids.new, editable=False, primary_key=True, serialize=False
            ),
        ),
        ("created_at", models.DateTimeField(default=kernel.clock.now, editable=False)),
        ("updated_at", models.DateTimeField(default=kernel.clock.now, editable=False)),
        (
            "organization",
            models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts.organization",
            ),
        ),
    ]


def number_field() -> tuple[str, models.Field]:
    return (
        "id",
        models.BigAutoField(
            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
        ),
    )


def money(**options: object) -> models.Field:
    return models.DecimalField(decimal_places=8, max_digits=18, **options)


# A function, because the planner asks a stable one how far the mark is: of a sub-select it would
# guess that a third of the ledger is behind it, and read all of it.
MARK = """
CREATE FUNCTION cost_mark(uuid) RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  RETURN coalesce((SELECT number FROM cost_usagemark WHERE organization_id = $1), 0);
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0008_confirmations"),
        ("cost", "0002_row_security"),
    ]

    operations = [
        migrations.CreateModel(
            name="Budget",
            fields=[
                *row_fields(),
                ("scope", models.CharField(choices=SCOPES, max_length=16)),
                ("subject_id", models.UUIDField(blank=True, null=True)),
                (
                    "period",
                    models.CharField(
                        choices=[("month", "Month"), ("day", "Day"), ("total", "Total")],
                        max_length=8,
                    ),
                ),
                ("limit_usd", money()),
                ("is_hard", models.BooleanField(default=False)),
                (
                    "alert_thresholds",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.PositiveSmallIntegerField(),
                        blank=True,
                        default=list,
                        size=None,
                    ),
                ),
                ("is_active", models.BooleanField(default=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("is_active", True)),
                        fields=("organization", "scope", "subject_id", "period"),
                        name="budget_active_unique",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("limit_usd__gte", 0)),
                        name="budget_limit_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("scope", "organization"), _negated=True),
                            ("subject_id", None),
                            _connector="OR",
                        ),
                        name="budget_organization_has_no_subject",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="BudgetWindow",
            fields=[
                *row_fields(),
                ("budget_id", models.UUIDField(blank=True, null=True)),
                ("scope", models.CharField(choices=SCOPES, max_length=16)),
                ("subject_id", models.UUIDField()),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("spent_usd", money(default=0)),
                ("reserved_usd", money(default=0)),
                ("alerted_percent", models.PositiveSmallIntegerField(default=0)),
                ("alerted_limit_usd", money(default=0)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization", "budget_id", "subject_id", "starts_at"),
                        name="budget_window_unique",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reserved_usd__gte", 0)),
                        name="budget_window_reserved_not_negative",
                    ),
                ],
                "indexes": [
                    models.Index(fields=["subject_id", "ends_at"], name="budget_window_subject"),
                    models.Index(fields=["ends_at"], name="budget_window_ended"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Reservation",
            fields=[
                number_field(),
                ("organization_id", models.UUIDField()),
                ("execution_id", models.UUIDField()),
                ("ordinal", models.PositiveIntegerField()),
                ("amount_usd", money()),
                (
                    "window_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(), size=None
                    ),
                ),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("execution_id", "ordinal"), name="reservation_call"
                    )
                ],
                "indexes": [models.Index(fields=["created_at"], name="reservation_age")],
            },
        ),
        migrations.CreateModel(
            name="ModelPrice",
            fields=[
                *row_fields(),
                ("provider", models.CharField(max_length=64)),
                ("model", models.CharField(max_length=255)),
                ("input_usd", money()),
                ("output_usd", money()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization", "provider", "model"), name="model_price_unique"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("input_usd__gte", 0), ("output_usd__gte", 0)),
                        name="model_price_not_negative",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageDay",
            fields=[
                number_field(),
                ("organization_id", models.UUIDField()),
                ("day", models.DateField()),
                ("agent_id", models.UUIDField(blank=True, null=True)),
                ("provider", models.CharField(max_length=64)),
                ("calls", models.PositiveBigIntegerField()),
                ("unpriced_calls", models.PositiveBigIntegerField()),
                ("input_tokens", models.PositiveBigIntegerField()),
                ("output_tokens", models.PositiveBigIntegerField()),
                ("cost_usd", money()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization_id", "day", "agent_id", "provider"),
                        name="usage_day_unique",
                        nulls_distinct=False,
                    )
                ],
                "indexes": [
                    models.Index(
                        fields=["organization_id", "agent_id", "day"], name="usage_day_agent"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageMark",
            fields=[
                ("organization_id", models.UUIDField(primary_key=True, serialize=False)),
                ("number", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.RunSQL(
            "CREATE SEQUENCE cost_usagerecord_number AS bigint",
            reverse_sql="DROP SEQUENCE cost_usagerecord_number",
        ),
        migrations.AddField(
            model_name="usagerecord",
            name="number",
            field=models.BigIntegerField(
                db_default=models.Func(models.Value("cost_usagerecord_number"), function="nextval"),
                editable=False,
            ),
        ),
        # safe: the column above writes the table anew under the same lock.
        migrations.AddIndex(
            model_name="usagerecord",
            index=models.Index(fields=["organization", "number"], name="usage_record_number"),
        ),
        migrations.RunSQL(MARK, reverse_sql="DROP FUNCTION cost_mark(uuid)"),
        row_security("cost_budget"),
        row_security("cost_budgetwindow"),
        row_security("cost_reservation"),
        row_security("cost_modelprice"),
        row_security("cost_usageday"),
        row_security("cost_usagemark"),
        queue_table(
            "cost_budgetwindow",
            fillfactor=20,
            autovacuum_vacuum_scale_factor=0.0,
            autovacuum_vacuum_threshold=200,
            autovacuum_vacuum_cost_delay=0,
        ),
        queue_table(
            "cost_reservation",
            fillfactor=80,
            autovacuum_vacuum_scale_factor=0.0,
            autovacuum_vacuum_threshold=500,
            autovacuum_vacuum_cost_delay=0,
        ),
    ]
