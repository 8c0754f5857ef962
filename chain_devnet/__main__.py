"""`python -m chain_devnet`."""

import sys

from chain_devnet.cli import main

sys.exit(main())
