"""What scoring refuses on purpose; each message is one sentence that names the thing and the way out."""


class ScoringError(ValueError):
    """Base of the errors below."""


class ColumnsError(ScoringError):
    """The input's columns are not those of the contract."""


class ArtefactError(ScoringError):
    """A model artefact is not what it was registered as, or not of a kind that this program reads."""


class OutdatedArtefactError(ArtefactError):
    """A model artefact of another version of this program; training again makes a new one."""


class TrainingError(ScoringError):
    """The former customers do not suffice to train a model."""


class RejectedRowsError(ScoringError):
    """Rows of a frame break the contract; the message says how many, and describes the first."""


class PolicyError(ScoringError):
    """A policy breaks a rule; the message names the line of its file."""
