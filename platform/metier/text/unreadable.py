"""What every reader of a format raises for a file that is no document, so that the file is rejected and the run goes on."""

from __future__ import annotations


class UnreadableDocument(ValueError):
    """This file is no document: the reason as a code, and what was seen."""

    def __init__(self, reason: str, evidence: str) -> None:
        evidence = evidence.encode("utf-8", "backslashreplace").decode()  # it may quote half a character
        super().__init__(reason, evidence)
        self.reason = reason
        self.evidence = evidence

    def __str__(self) -> str:
        return f"{self.reason}: {self.evidence}"
