"""The rules, by who asks: organizers, buyers, the door, the waiting list; and what is due without anybody asking."""
