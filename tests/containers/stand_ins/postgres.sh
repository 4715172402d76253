#!/bin/sh
# As much of the public image's entry script as docker-compose.yml relies on.
set -eu
export PGDATA=/var/lib/postgresql/data
as_postgres="setpriv --reuid=postgres --regid=postgres --init-groups"
mkdir -p "$PGDATA" /var/run/postgresql
chown postgres:postgres /var/lib/postgresql "$PGDATA" /var/run/postgresql
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    password=$(mktemp)
    cat "$POSTGRES_PASSWORD_FILE" > "$password"
    chown postgres "$password"
    # The arguments are words.
    # shellcheck disable=SC2086
    $as_postgres initdb --encoding=UTF8 --locale=C.UTF-8 --username "$POSTGRES_USER" --pwfile "$password" --auth-local=trust \
        ${POSTGRES_INITDB_ARGS:-}
    rm "$password"
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    $as_postgres pg_ctl -w start -o "-c listen_addresses=''"
    $as_postgres psql -qv ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres -c "CREATE DATABASE $POSTGRES_DB"
    for script in /docker-entrypoint-initdb.d/*.sh; do
        [ ! -e "$script" ] || $as_postgres sh "$script"
    done
    $as_postgres pg_ctl -w -m fast stop
fi
exec $as_postgres "$@" -c listen_addresses='*'
