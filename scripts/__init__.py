"""Set-up, run and test commands; they need nothing but Python itself until they have made an environment."""
