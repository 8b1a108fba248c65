"""What tests share: facts and commands by short names, given/when/then, a driver for the running dataflows."""
