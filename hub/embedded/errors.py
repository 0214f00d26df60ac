"""How the embedded servers can refuse to run."""

from kernel.errors import DomainError


class ServerDidNotStart(DomainError):
    """PostgreSQL or Redis could not be started; the sentence names its log or the mend."""

    code = "embedded.server_did_not_start"
    status = 503


class DataFolderInUse(DomainError):
    """Another hub holds the lock of this data folder; `data` has its `pid` and `url`."""

    code = "embedded.data_folder_in_use"
    status = 409


class DataFolderUnusable(DomainError):
    """The data folder cannot be made, written to, or is out of space."""

    code = "embedded.data_folder_unusable"
    status = 503
