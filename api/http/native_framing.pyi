# The compiled twin offers what the plain module does.
from api.http.framing import head as head

SOURCE: str
