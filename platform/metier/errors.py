"""The exceptions that Metier raises on purpose. Each carries one line that says what, where and how to mend it."""


class MetierError(Exception):
    """Base of all expected failures. The command line prints its text as one line and exits with `exit_code`."""

    exit_code = 1


class InputError(MetierError):
    """What the user gave can't be used: a key, a file, a folder, a value. Nothing was changed."""

    exit_code = 2


class MissingError(InputError):
    """What an experiment names is not there yet: a plan can be made, a run can't."""


class MachineError(MetierError):
    """This machine can't do the step: memory, disk, an engine or a package is missing. Nothing was changed."""

    exit_code = 2


class StepError(MetierError):
    """A step ran and could not do its job. What earlier steps made is kept; a new run goes on from there."""


class GateError(MetierError):
    """The exam says that this model must not ship."""

    exit_code = 3
