"""The torch half of training: examples, adapter, loop, guard, checkpoints, merge, quantise. No Ray here."""

import logging

# Saving a model imports DeepSpeed where it is installed, which then warns on a machine without a GPU that there is none.
logging.getLogger("DeepSpeed").addFilter(lambda record: "Setting accelerator to CPU" not in record.getMessage())
