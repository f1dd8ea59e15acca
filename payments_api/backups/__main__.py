"""`python -m payments_api.backups backup|restore|verify`: the commands without the server's imports."""

import sys

from payments_api.backups.commands import main

if __name__ == "__main__":
    sys.exit(main(program="python -m payments_api.backups"))
