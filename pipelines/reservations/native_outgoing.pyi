# The compiled twin offers what the plain module does.
from pipelines.reservations.outgoing import encoded as encoded
from pipelines.reservations.outgoing import passed_on as passed_on
from pipelines.reservations.outgoing import replies as replies

SOURCE: str
