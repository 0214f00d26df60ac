"""How knowledge refuses."""

from kernel.errors import DomainError


class DocumentUnreadable(DomainError):
    """A file that cannot become an entry; `detail` says why."""

    code = "knowledge.document_unreadable"
    status = 422
    message = "The file cannot be read as text. Save it as UTF-8 and ingest it again."
