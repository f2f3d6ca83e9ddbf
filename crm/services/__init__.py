"""Writes of the CRM (states.md, "Write paths")."""

from .contacts import find_leads_by_contact
from .merging import merge_leads
from .notes import change_lead_note, write_lead_note
from .recording import record_event

__all__ = [
    "change_lead_note",
    "find_leads_by_contact",
    "merge_leads",
    "record_event",
    "write_lead_note",
]
