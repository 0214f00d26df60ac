"""One random stamp for each organization: it changes with each write of an override."""

from typing import Final

from kernel.stamps import Stamps

STAMPS: Final = Stamps("overrides")
read: Final = STAMPS.read
renew: Final = STAMPS.renew
