"""The command line: a module per verb group, loaded on demand."""

import atexit
import gc

# A verb is over in a tenth of a second, most of it spent on loading modules, which are no garbage: at the
# usual threshold the collector would look through them dozens of times, and once more on the way out. That
# is 10 ms of it.
gc.set_threshold(100_000)
atexit.register(gc.freeze)
