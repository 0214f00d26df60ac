"""One random stamp for each organization: it changes with whatever decides who its callers are."""

from typing import Final

from kernel import stamps

_stamps: Final = stamps.Stamps("callers")
_silence: Final = stamps.silence
read: Final = _stamps.read
renew: Final = _stamps.renew
