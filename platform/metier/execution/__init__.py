"""How steps are planned and run, and the only place beside serving that knows Ray."""
