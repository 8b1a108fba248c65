"""Signed ticket codes. They live a room below, where mails have tickets too."""

from __future__ import annotations

from pipelines.documents.ticket_codes import CodeReader, ForgedCode, SignedTicket, TicketCodes

__all__ = ["CodeReader", "ForgedCode", "SignedTicket", "TicketCodes"]
