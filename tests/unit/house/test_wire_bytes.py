"""The bytes of a record are read in one module and written in one, with a compiled twin each: nothing else takes them
apart."""

from __future__ import annotations

import ast
import re

import pytest

from tests.unit.docs.pages import ROOT, SOURCES, tree_of

VARINTS = re.compile(r"&\s*0x7F\b|(?:<<|>>)=?\s*7\b", re.IGNORECASE)
MAKES_VARINTS = {
    "schemas/avro_writer.py",
    "schemas/native_reader.pyx",
    "schemas/native_writer.pyx",
    "connectors/metrics_server.py",  # the lengths of protobuf messages, which Prometheus reads
}
PATTERNS_OF_BYTES = {
    "api/http/framing.py",  # the bytes of a request, which are not Avro
    "connectors/signing_keys.py",  # keys as files have them (PEM)
}
FASTAVRO = {
    "schemas/avro_reader.py",
    "schemas/codec.py",  # parses the schemas; encodes the fields of a record by any schema of its type
    "ops/archive/export.py",  # Avro container files, which any tool reads
    "ops/archive/records.py",  # the same
    "ops/proof/bench/steps.py",  # measures the reader by what fastavro needs
    "pipelines/watch/dead_letter_fixes.py",  # checks corrected fields against a schema, and writes none
}


def sources(*endings: str) -> dict[str, str]:
    paths = [path for top in SOURCES for path in (ROOT / top).rglob("*") if path.suffix in endings]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


def with_a_pattern_of_bytes(text: str) -> bool:
    """Whether a module gives a function of `re` bytes, or a name that it has made of bytes."""

    def has_bytes(node: ast.AST, names: set[str]) -> bool:
        return any(
            (isinstance(part, ast.Constant) and isinstance(part.value, bytes))
            or (isinstance(part, ast.Name) and part.id in names)
            for part in ast.walk(node)
        )

    tree = tree_of(text)
    names: set[str] = set()
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and has_bytes(statement.value, names):
            names |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) == "re"
        and any(has_bytes(argument, names) for argument in node.args)
        for node in ast.walk(tree)
    )


def imports(text: str) -> set[str]:
    found = set()
    for node in ast.walk(tree_of(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_only_the_reader_and_the_writer_take_varints_apart() -> None:
    assert {path for path, text in sources(".py", ".pyx").items() if VARINTS.search(text)} == MAKES_VARINTS


def test_no_regular_expression_reads_a_record() -> None:
    found = {path for path, text in sources(".py").items() if "re." in text and with_a_pattern_of_bytes(text)}
    assert found == PATTERNS_OF_BYTES


def test_fastavro_is_imported_where_it_is_needed() -> None:
    found = {path for path, text in sources(".py").items() if "fastavro" in text and "fastavro" in imports(text)}
    assert found == FASTAVRO


@pytest.mark.parametrize(
    "text", ["bits = bits << 7 | byte & 0x7F", "size, at = size & 0x7f | value[at] << 7, at + 1", "rest >>= 7"]
)
def test_arithmetic_of_varints_is_found(text: str) -> None:
    assert VARINTS.search(text)


@pytest.mark.parametrize(
    "text",
    [
        'import re\nre.compile(rb"[\\x80-\\xff]*")',
        'import re\n_VARINT = rb"[\\x80-\\xff]{0,9}"\n_PAIR = _VARINT + _VARINT\n_NUMBERS = re.compile(_PAIR).match',
        'import re\ndef first(value): return re.match(b"x", value)',
    ],
)
def test_a_pattern_of_bytes_is_found(text: str) -> None:
    assert with_a_pattern_of_bytes(text)


def test_a_pattern_of_text_is_none_of_bytes() -> None:
    assert not with_a_pattern_of_bytes('import re\nMAGIC = b"x"\nNAME = re.compile(r"[a-z]+")')
