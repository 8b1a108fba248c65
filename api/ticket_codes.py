"""Signed ticket codes. The code is in `pipelines`, because mails contain tickets too."""

from __future__ import annotations

from pipelines.documents.ticket_codes import CodeReader, ForgedCode, SignedTicket, TicketCodes

__all__ = ["CodeReader", "ForgedCode", "SignedTicket", "TicketCodes"]
