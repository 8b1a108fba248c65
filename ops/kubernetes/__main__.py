"""`python -m ops.kubernetes`: see `ops.kubernetes.manifests`."""

import sys

from ops.kubernetes.manifests import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
