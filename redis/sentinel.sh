#!/bin/sh
# Starts a sentinel of docker-compose.sentinel.yml. It writes what it knows to its configuration, in a
# volume: which server is the master, and the number of the last failover. The password is there too.
set -eu
umask 077

file=/data/sentinel.conf
[ -e "$file" ] || cat >"$file" <<CONF
port 26379
dir /data
protected-mode no
# The addresses of containers change, their names do not.
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $REDIS_NAME
sentinel monitor mymaster redis 6379 2
# Not below five seconds: see min-replicas-max-lag in replicated.conf.
sentinel down-after-milliseconds mymaster 5000
sentinel failover-timeout mymaster 30000
# While a replica loads the data of a new master, the other one goes on.
sentinel parallel-syncs mymaster 1
CONF

# The passwords of this start, in place of those of the last one.
kept=$(grep -v -e '^requirepass' -e '^user ' -e '^sentinel auth-pass' -e '^sentinel sentinel-pass' "$file")
{
  printf '%s\n' "$kept"
  if [ -n "${REDIS_PASSWORD:-}" ]; then
    password=\"$(printf %s "$REDIS_PASSWORD" | sed 's/[\\"]/\\&/g')\"
    printf 'requirepass %s\n' "$password"
    printf 'sentinel auth-pass mymaster %s\n' "$password"
    printf 'sentinel sentinel-pass %s\n' "$password"
  fi
} >"$file.new"
mv "$file.new" "$file"

exec redis-server "$file" --sentinel
