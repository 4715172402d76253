#!/bin/sh
# Run once by Postgres' image, when its volume is empty: Prefect's own role and database. The password is read by
# psql from its file and stands in no command and no environment.
set -eu
psql -q -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\set password `cat /run/secrets/prefect_password`
CREATE ROLE prefect LOGIN PASSWORD :'password';
CREATE DATABASE prefect OWNER prefect;
REVOKE ALL ON DATABASE prefect FROM PUBLIC;
SQL
