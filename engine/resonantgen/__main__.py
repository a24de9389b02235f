"""`python -m resonantgen`: the command, where its script is not on the path."""

import sys

from resonantgen.cli import main

sys.exit(main())
