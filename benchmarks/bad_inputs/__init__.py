"""Every mistake of docs/check.md, made in a temporary folder: what `atrous check` says of it."""
