-- Search that takes one spelling for another: case, accents, ligatures and composed or decomposed letters do not count.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- A text as it is searched: NFKD, Unicode's full case folding ("ß" is "ss"), without the combining accents of Latin,
-- Greek and Cyrillic. Marks of other scripts are letters of theirs and stay.
CREATE FUNCTION search_key(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN
    regexp_replace(
        normalize(casefold(normalize($1, NFKD) COLLATE pg_unicode_fast), NFKD), '[\u0300-\u036f]', '', 'g'
    ) COLLATE "C";

-- What LIKE looks for, to find a text anywhere in a search key. Signs that mean something to LIKE are plain signs.
CREATE FUNCTION search_pattern(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN
    '%' || regexp_replace(search_key($1), '([\\%_])', '\\\1', 'g') || '%';

ALTER TABLE events ADD COLUMN search_text text NOT NULL GENERATED ALWAYS AS
    (search_key(title || E'\n' || venue || E'\n' || description)) STORED;

CREATE INDEX events_search ON events USING gin (search_text gin_trgm_ops);
