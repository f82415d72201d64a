"""`python -m fairlead.cli`, where no script is installed."""

import sys

from fairlead.cli import main

sys.exit(main())
