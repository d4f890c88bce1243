"""The project's block documents as code; ``python -m blocks`` saves them all.

Saving is idempotent: a document that is there is brought up to date.
"""
