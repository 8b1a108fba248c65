# The compiled twin offers what the plain class does.
from pipelines.reservations.core import seating

NativeSeating = seating.Seating
SOURCE: str
