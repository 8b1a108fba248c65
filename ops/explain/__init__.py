"""Why a reservation got what it got, and how the seats were: one event's past, read from the log."""
