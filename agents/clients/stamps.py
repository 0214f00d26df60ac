"""One random stamp for each organization: it changes with each write of an override."""

from typing import Final

from kernel.stamps import Stamps

_stamps: Final = Stamps("overrides")
read: Final = _stamps.read
renew: Final = _stamps.renew
