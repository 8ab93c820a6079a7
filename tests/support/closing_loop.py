"""The event loop of the tests, which closes although a failed test left transports open."""

import warnings

import uvloop


class ClosingLoop(uvloop.Loop):
    """
    uvloop warns of an open transport before it closes that.

    Warnings are errors here. One at that moment would leave the transport, and a loop with an open
    transport cannot be closed: "Device or resource busy". So they follow when the loop is closed.
    """

    def close(self) -> None:
        """Close what is left, and the loop. Then raises a ResourceWarning that is an error."""
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            super().close()
        for each in found:
            warnings.warn(each.message, stacklevel=2)
