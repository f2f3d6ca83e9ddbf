"""The rights of people over all apps: consents, exports, erasure, retention (privacy.md)."""
