"""Commands to facts: the pure core (limits, seating, state, decide, evolve, step, reply) and its dataflow."""
