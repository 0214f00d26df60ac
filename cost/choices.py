"""The permissions of cost."""

from typing import Final

from kernel.permissions import Permission

PERMISSIONS: Final = (Permission("cost.read", "Cost", "See what was spent.", reads=True),)
