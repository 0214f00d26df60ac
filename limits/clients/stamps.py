"""One random stamp for each organization: it changes with each write of a limit."""

from typing import Final

from kernel.stamps import Stamps

STAMPS: Final = Stamps("limits")
renew: Final = STAMPS.renew
