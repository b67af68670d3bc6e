#!/bin/sh
# Creates a role and a database of the same name for each name in DATABASES. The password of `users`
# is in USERS_DB_PASSWORD, and so on. The image of PostgreSQL runs this once, on an empty volume. It
# is safe to run again: it adds what is missing and sets the passwords.
set -eu
export PGPASSWORD="$POSTGRES_PASSWORD"

# psql reads the passwords from the environment and quotes them: no argument contains them.
psql_as_owner() {
  psql --no-psqlrc --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres \
    --set ON_ERROR_STOP=1 "$@"
}

# By default every role may connect to every database.
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
