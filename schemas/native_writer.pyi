# The compiled twin offers what the plain writer does.
from schemas import avro_writer

NativeWriter = avro_writer.Writer
SOURCE: str
