"""`python -m ops.reference`: see `ops.reference.pages`."""

import sys

from ops.reference.pages import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
