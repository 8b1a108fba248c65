#!/bin/bash
# Makes the database of POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB where there is none, then becomes the server.
set -euo pipefail
[[ ${1:0:1} != - ]] || set -- postgres "$@"
[[ $1 == postgres ]] || exec "$@"
if [[ $(id -u) == 0 ]]; then
    mkdir -p "$PGDATA"
    chown -R postgres:postgres /var/lib/postgresql
    exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi
if [[ ! -s $PGDATA/PG_VERSION ]]; then
    : "${POSTGRES_PASSWORD:?is needed}" "${POSTGRES_USER:=postgres}" "${POSTGRES_DB:=$POSTGRES_USER}"
    chmod 0700 "$PGDATA"
    initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
        --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
    pg_ctl --pgdata="$PGDATA" --options="-c listen_addresses=''" --wait start
    if [[ $POSTGRES_DB != postgres ]]; then
        psql --username="$POSTGRES_USER" --dbname=postgres --set=name="$POSTGRES_DB" <<< 'CREATE DATABASE :"name";'
    fi
    pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
fi
exec "$@"
