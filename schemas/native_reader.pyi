# The compiled twin offers what the plain reader does.
from schemas import avro_reader
from schemas.avro_reader import read_all as read_all

NativeReader = avro_reader.Reader
SOURCE: str
