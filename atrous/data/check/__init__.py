"""The data doctor: reads every file once, reports the problems and how to fix them."""
