#!/bin/sh
# Starts the server of docker-compose.yml in the working folder, which is /data in the image. Passwords
# come from the environment and are passed by stdin, so they are in no argument list and in no file.
# Arguments are further options.
#
# With REDIS_SENTINELS (docker-compose.sentinel.yml) it starts as a replica of the master that the
# sentinels name. The server called `redis` starts as the master if they name it, or do not answer.
set -eu
here=$(dirname "$0")

quoted() {
  printf '"%s"' "$(printf %s "$1" | sed 's/[\\"]/\\&/g')"
}

passwords() {
  [ -z "${REDIS_PASSWORD:-}" ] && return
  printf 'requirepass %s\n' "$(quoted "$REDIS_PASSWORD")"
  [ -z "${REDIS_SENTINELS:-}" ] || printf 'masterauth %s\n' "$(quoted "$REDIS_PASSWORD")"
}

# The name of the master, by the first sentinel that answers. They are asked ten times.
named_by_sentinels() {
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    for sentinel in $(printf %s "$REDIS_SENTINELS" | tr , ' '); do
      found=$(timeout 1 redis-cli -h "${sentinel%:*}" -p "${sentinel#*:}" \
        sentinel get-master-addr-by-name "${REDIS_SENTINEL_MASTER:-mymaster}" 2>/dev/null |
        head -n 1) || found=
      case "$found" in "" | *ERR* | *NOAUTH* | *WRONGPASS* | *"not connect"*) ;; *)
        printf %s "$found"
        return
        ;;
      esac
    done
    sleep 1
  done
}

replication() {
  [ -z "${REDIS_SENTINELS:-}" ] && return
  master=$(named_by_sentinels)
  master=${master:-redis}
  printf 'include %s/replicated.conf\n' "$here"
  printf 'replica-announce-ip %s\n' "$REDIS_NAME"
  [ "$master" = "$REDIS_NAME" ] || printf 'replicaof %s 6379\n' "$master"
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
$(if [ -f "$here/users.acl" ]; then users_with_passwords; else passwords; fi)
$(replication)
CONF
