"""Writes of the CRM (states.md, "Write paths")."""

from .contacts import find_leads_by_contact
from .merging import merge_leads
from .recording import record_event

__all__ = ["find_leads_by_contact", "merge_leads", "record_event"]
