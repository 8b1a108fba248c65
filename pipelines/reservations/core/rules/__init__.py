"""The rules, by caller: organizers, buyers, the door, the waiting list; and the work that is due without a request."""
