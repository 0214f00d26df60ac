"""One random stamp for each organization: it changes with each write of an override."""

from typing import Final

from kernel.stamps import Stamps

STAMPS: Final = Stamps("overrides")
renew: Final = STAMPS.renew
