#!/bin/sh
# A role and a database of the same name for each service in DATABASES; the password of `users` is
# in USERS_DB_PASSWORD, and so on. PostgreSQL's image runs this once, on an empty volume. It can be
# run again at any time: it adds what is missing, and sets the passwords anew.
set -eu
export PGPASSWORD="$POSTGRES_PASSWORD"

# psql reads the passwords itself: they stand in no argument list, and it does the quoting.
psql_as_owner() {
  psql --no-psqlrc --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres \
    --set ON_ERROR_STOP=1 "$@"
}

# What everybody may do by default: connect to any database.
psql_as_owner --command 'REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC'

for name in $DATABASES; do
  variable=$(echo "$name" | tr '[:lower:]' '[:upper:]')_DB_PASSWORD
  psql_as_owner --set "name=$name" --set "variable=$variable" <<'SQL'
\getenv password :variable
SELECT format('CREATE ROLE %I LOGIN', :'name')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \gexec
ALTER ROLE :"name" PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'name')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
