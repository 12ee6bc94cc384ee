"""How fast the program is: `make bench` measures it beside other servers, `make bench-check` beside its own past.

- `letters` are always the same, so that every answer can be checked: what fails is no speed.
- `clients` speak in processes of their own (`crew`), which do `tasks`; a `bench` makes rows of what comes back, and `scenarios`
  say what is done.
- `targets` and `peers` are the servers. `compare`, `check` and `growth` are what can be asked; `table`, `chart` and
  `page` show it.
- `bench_*.py` measure single rooms, in one process.
"""
