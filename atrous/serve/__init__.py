"""The page and the HTTP API of `atrous serve`: look at files of any size, and label what is in view on demand."""
