"""Lists the mutants for whoever tries them: `python -m payments_api.mutants` prints JSON."""

from __future__ import annotations

import json
import sys

from payments_api.mutants.catalogue import MUTANTS

if __name__ == "__main__":
    listed = [
        {"name": mutant.name, "row": mutant.row, "breaks": mutant.breaks, "also": mutant.also, "number": mutant.number}
        for mutant in MUTANTS.values()
    ]
    json.dump(listed, sys.stdout, indent=2)
    sys.stdout.write("\n")
