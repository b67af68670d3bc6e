#!/bin/sh
# Starts the server of docker-compose.yml in the working folder, which is /data in the image. Passwords
# come from the environment and are passed by stdin, so they are in no argument list and in no file.
# Arguments are further options.
set -eu
here=$(dirname "$0")

requirepass() {
  [ -z "${REDIS_PASSWORD:-}" ] && return
  printf 'requirepass "%s"\n' "$(printf %s "$REDIS_PASSWORD" | sed 's/[\\"]/\\&/g')"
}

# The lines of users.acl, each with the hash of REDIS_<NAME>_PASSWORD. A user without this variable
# has no password, and nobody can log in.
users_with_passwords() {
  while read -r user name rules; do
    password=$(printenv "REDIS_$(printf %s "$name" | tr a-z A-Z)_PASSWORD") || password=
    hash=$(printf %s "$password" | sha256sum | cut -d ' ' -f 1)
    printf '%s %s %s\n' "$user" "$name" "$rules${password:+ #$hash}"
  done < "$here/users.acl"
}

# protected-mode would refuse the services: without a password it accepts loopback only. The networks
# of docker-compose.yml define who can reach this server.
exec redis-server - "$@" <<CONF
include $here/redis.conf
protected-mode no
$(if [ -f "$here/users.acl" ]; then users_with_passwords; else requirepass; fi)
CONF
