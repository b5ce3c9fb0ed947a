"""Trained networks that packages bring, by name: found, described by a card, and checked before they are loaded."""
