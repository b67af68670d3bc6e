#!/bin/sh
# Starts the gateway of docker-compose.scale.yml: nginx with nginx.conf beside this file, in which it
# fills in what nginx does not read from the environment.
set -eu
here=$(dirname "$0")
folder=${GATEWAY_FOLDER:-/tmp}

# Docker's server of names, or that of another engine.
resolvers=${GATEWAY_RESOLVERS:-$(sed -n 's/^nameserver *//p' /etc/resolv.conf | tr '\n' ' ')}

sed -e "s|{folder}|$folder|" \
  -e "s|{resolvers}|$resolvers|" \
  -e "s|{max_body_bytes}|${MAX_BODY_BYTES:-1048576}|" \
  -e "s|{port}|${GATEWAY_LISTEN:-8080}|" \
  "$here/nginx.conf" > "$folder/nginx.conf"
exec nginx -e stderr -c "$folder/nginx.conf" -g 'daemon off;'
