"""Where it goes: Eulerian motion fields."""
