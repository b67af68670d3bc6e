#!/bin/sh
# Starts the server of docker-compose.yml. The password comes from the environment and is passed by
# stdin, so it is in no argument list and in no file. Arguments are options of redis.conf, as in
# `serve.sh --port 6380`.
set -eu

requirepass() {
  [ -z "${REDIS_PASSWORD:-}" ] && return
  printf 'requirepass "%s"\n' "$(printf %s "$REDIS_PASSWORD" | sed 's/[\\"]/\\&/g')"
}

# protected-mode would refuse the services: without a password it accepts loopback only. The networks
# of docker-compose.yml define who can reach this server.
exec redis-server - "$@" <<CONF
include /usr/local/etc/redis/redis.conf
dir /data
protected-mode no
$(requirepass)
CONF
