"""The built-in roles of every organization, held by whoever had them as a word."""

from typing import Any

from django.db import migrations

BUILT_IN = ("admin", "operator", "viewer", "approver", "developer")


def give(apps: Any, _: Any) -> None:
    """Roles without permissions yet: `bootstrap` offers them those of the code that runs."""
    organization, user, role, assignment = (
        apps.get_model("accounts", name)
        for name in ("Organization", "User", "Role", "RoleAssignment")
    )
    for owner in organization.objects.all():
        roles = {
            name: role.objects.create(organization=owner, name=name, is_system=True)
            for name in BUILT_IN
        }
        assignment.objects.bulk_create(
            assignment(organization=owner, user=person, role=roles[person.role])
            for person in user.objects.filter(organization=owner)
        )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_identity")]

    operations = [migrations.RunPython(give, migrations.RunPython.noop)]
