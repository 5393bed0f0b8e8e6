from uuid import UUID

from app.core.events import Event


class FileDamaged(Event, name="media.file_damaged"):
    """A stored file's bytes were found to be others, or gone."""

    file_id: UUID
    found: str

    @property
    def subject_id(self) -> UUID:
        return self.file_id
