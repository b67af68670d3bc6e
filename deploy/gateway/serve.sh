#!/bin/sh
# Starts the gateway of docker-compose.scale.yml: nginx with nginx.conf beside this file, in which it
# fills in what nginx does not read from the environment.
set -eu
here=$(dirname "$0")
folder=${GATEWAY_FOLDER:-/tmp}

# The engine's DNS server. Others that may follow it do not know the services, and nginx would ask
# them in turn.
resolver=${GATEWAY_RESOLVER:-$(sed -n 's/^nameserver *//p' /etc/resolv.conf | head -n 1)}

document=${GATEWAY_DOCUMENT:-/etc/openapi.json} # of the API of all services

max_body_bytes=${MAX_BODY_BYTES:-1048576}
large_bodies=$((48 * 1024 * 1024 / max_body_bytes)) # of the 64 MB of $folder

sed -e "s|{folder}|$folder|" \
  -e "s|{resolver}|$resolver|" \
  -e "s|{document}|$document|" \
  -e "s|{max_body_bytes}|$max_body_bytes|" \
  -e "s|{large_bodies}|$((large_bodies > 0 ? large_bodies : 1))|" \
  -e "s|{port}|${GATEWAY_LISTEN:-8080}|" \
  "$here/nginx.conf" > "$folder/nginx.conf"
exec nginx -e stderr -c "$folder/nginx.conf" -g 'daemon off;'
