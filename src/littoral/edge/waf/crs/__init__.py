"""The OWASP Core Rule Set as a managed rule group: an importer of the subset of SecLang that it is written in."""
